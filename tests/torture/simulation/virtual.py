"""The loop of a simulation: its time jumps to what is due next.

Rules: one loop runs all simulated processes. A task remembers the process that it belongs to, so
that the process can be killed. Tasks are hashed by the order of their making: sets of tasks would
otherwise be gone through in the order of their addresses.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support import virtual_time

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
OWNER: contextvars.ContextVar[set[asyncio.Task[Any]] | None] = contextvars.ContextVar(
    "owner", default=None
)
"""The tasks of the process that runs."""


class _Task(asyncio.Task[T]):
    """A task that is hashed by its number."""

    def __init__(self, number: int, work: Coroutine[Any, Any, T], **options: Any) -> None:
        self._number = number
        super().__init__(work, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(virtual_time.VirtualLoop):
    """A loop in virtual time that numbers its tasks."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self.set_task_factory(self._task)

    def _task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        task: _Task[Any] = _Task(next(self._numbers), work, loop=loop, **options)
        owned = OWNER.get()
        if owned is not None:
            owned.add(task)
            task.add_done_callback(owned.discard)
        return task


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time. Raises `AssertionError` if nothing more can happen."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
