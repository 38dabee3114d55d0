"""The loop of a simulation: its time jumps to what is due next.

Rules: nothing outside touches it, so it never asks the operating system. One loop runs all
simulated processes. A task remembers the process that it belongs to, so that the process can be
killed. Tasks are hashed by the order of their making: sets of tasks would otherwise be gone through
in the order of their addresses.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support import virtual_time

if TYPE_CHECKING:
    from collections import deque
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
        self._seconds = 0.0
        self.set_task_factory(self._task)

    def time(self) -> float:
        return self._seconds

    def _run_once(self) -> None:
        """Run what is ready; else go to the time of what comes next. Replaces asyncio's own."""
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        if ready:
            self._seconds += virtual_time.STEP_S
        else:
            self._jump(ready)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _jump(self, ready: deque[asyncio.Handle]) -> None:
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while timers:
            timer = heapq.heappop(timers)
            if not timer.cancelled():
                self._seconds = max(self._seconds + virtual_time.STEP_S, timer.when())
                ready.append(timer)
                return
        raise AssertionError(virtual_time.NOTHING_LEFT)

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
