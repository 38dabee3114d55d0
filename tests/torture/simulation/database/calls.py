"""Carries operations over a wire as the driver does, and turns answers into the driver's errors.

Rules:
- An operation whose answer was lost is repeated until its deadline, reads and retryable writes
  alike. The server recognises a repeated write by its session and number.
- A write with majority concern is acknowledged by a second call, named `.commit`, unless a majority
  has it by then. A majority has it at the latest when that call reaches the server.
- A session whose answer was lost is used no more, because its last operation may still arrive.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from pymongo.errors import AutoReconnect, NetworkTimeout, NotPrimaryError, OperationFailure

from tests.torture.simulation.database.errors import NotPrimary, ServerError
from tests.torture.simulation.database.sessions import Transaction
from tests.torture.simulation.wire import Lost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.torture.simulation.database.options import Options
    from tests.torture.simulation.database.server import Server
    from tests.torture.simulation.database.statements import Written
    from tests.torture.simulation.database.writes import Statement
    from tests.torture.simulation.wire import Wire

T = TypeVar("T")
_RECHECK_S: Final = 0.5
"""The driver looks for a primary at most that often."""


class Calls:
    """The calls of one client.

    Args:
        server: answers them.
        wire: carries them.
        options: of the client.
    """

    def __init__(self, server: Server, wire: Wire, options: Options) -> None:
        self.server = server
        self.options = options
        self._wire = wire
        self._number = server.connect()
        self._opened = 0
        self._free: list[Transaction] = []

    async def ask(self, name: str, apply: Callable[[], T]) -> T:
        """Carry a call that changes nothing."""

        def attempt(within_s: float) -> Awaitable[T]:
            return self._wire.call(f"database.{name}", apply, within_s=within_s)

        return await self._with_repeat(attempt, repeats=self.options.retry_reads)

    async def write(
        self,
        name: str,
        namespace: str,
        statements: Sequence[Statement],
        *,
        ordered: bool = True,
        retryable: bool = True,
    ) -> Written:
        """Carry a write and wait until it is acknowledged."""
        retries = retryable and self.options.retry_writes
        transaction = self._next() if retries else None
        apply = partial(
            self.server.write, namespace, statements, ordered=ordered, transaction=transaction
        )
        written = await self._with_repeat(partial(self._acknowledged, name, apply), repeats=retries)
        if transaction is not None:
            self._free.append(transaction)
        return written

    def _next(self) -> Transaction:
        """The next operation of a free session, or the first of a new one."""
        if self._free:
            last = self._free.pop()
            return Transaction(last.session, last.number + 1)
        self._opened += 1
        return Transaction((self._number, self._opened), 1)

    async def _acknowledged(
        self, name: str, apply: Callable[[], Written], within_s: float
    ) -> Written:
        call = f"database.{name}"
        written = await self._wire.call(call, apply, within_s=within_s)
        if self.options.majority and not self.server.is_acknowledged(written):
            acknowledge = partial(self.server.acknowledge, written)
            await self._wire.call(f"{call}.commit", acknowledge, within_s=within_s)
        return written

    async def _with_repeat(self, attempt: Callable[[float], Awaitable[T]], *, repeats: bool) -> T:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.options.timeout_s
        left_s, pause_s = self.options.timeout_s, 0.0
        while True:
            try:
                return await attempt(left_s)
            except ServerError as error:
                raise failure(error) from error
            except (Lost, NotPrimary) as error:
                left_s = deadline - clock() - pause_s
                if not repeats or left_s <= 0:
                    raise _network_error(error, deadline - clock()) from error
            await asyncio.sleep(pause_s)
            pause_s = _RECHECK_S


def failure(error: ServerError) -> OperationFailure:
    """The driver's error for a refused operation."""
    return OperationFailure(error.message, error.code, error.details())


def _network_error(error: Exception, left_s: float) -> AutoReconnect:
    if isinstance(error, NotPrimary):
        return NotPrimaryError("the primary changed")
    if left_s <= 0:
        return NetworkTimeout("no answer in time")
    return AutoReconnect("connection closed")
