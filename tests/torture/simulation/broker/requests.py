"""What a process asks the broker on one connection, from its sending to its reply."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation.broker.refusals import Unread

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker.connection import Connection

UNREAD: Final = object()
"""The broker has it and does not read it now."""


class Request:
    """A request of the running task.

    Args:
        connection: it is sent on.
        apply: what the broker does; what it raises is the reply.
    """

    __slots__ = (
        "_apply",
        "_cancels",
        "_connection",
        "_error",
        "_later",
        "_reply",
        "_task",
        "fault",
        "has_reached",
        "heard",
    )

    def __init__(self, connection: Connection, apply: Callable[[], Any]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connection = connection
        self._apply = apply
        self._task = task
        self._cancels = task.cancelling()
        self._later: asyncio.Future[None] | None = None
        self._reply: Any = UNREAD
        self._error: Exception | None = None
        self.has_reached = False
        """Whether it lies at the broker, read or not."""
        self.heard = 0
        """How much the broker had said by itself before it replied."""
        self.fault: BaseException | None = None
        """Why its task waits for the reply no more."""

    def reach(self) -> Any:
        """Reach the broker, after everything that was sent before; returns or raises the reply."""
        self.has_reached = True
        if self._reply is UNREAD and self._error is None:
            self._connection.bring(self)
        return self._answered()

    def apply(self) -> bool:
        """Have the broker do it; returns whether the broker has read it."""
        try:
            self._reply = self._apply()
        except Unread:
            return False
        except Exception as error:  # noqa: BLE001 - what it raises is the reply
            self._error = error
        self.heard = self._connection.said
        return True

    async def read_later(self) -> Any:
        """Wait until the broker reads it; returns or raises the reply."""
        if self._reply is UNREAD and self._error is None:
            self._later = asyncio.get_running_loop().create_future()
            await self._later
        return self._answered()

    def answer(self) -> None:
        """Let the reply reach the process that waits in `read_later`."""
        if self._later is not None and not self._later.done():
            self._later.set_result(None)

    def _answered(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._reply

    def interrupt(self, fault: BaseException) -> None:
        """Have the task wait no more, and get an error instead."""
        if self.fault is None and self._task is not asyncio.current_task():
            self.fault = fault
            self._task.cancel()

    def was_interrupted(self) -> bool:
        """Whether a cancellation that the task got comes from `interrupt` alone."""
        return self.fault is not None and self._task.uncancel() <= self._cancels
