"""An event loop whose time jumps to the next thing due, so that minutes pass in an instant."""

from __future__ import annotations

import asyncio
import selectors
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
STEP_S = 1e-7
"""By which time passes at least in each turn of the loop, as it does in every real one."""

NOTHING_LEFT = "everything waits for something that never comes"


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: whoever waits for a time gets that time."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError(NOTHING_LEFT)
        self.seconds += max(timeout, STEP_S)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Without sockets or subprocesses."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.seconds


class LoopClock:
    """The running loop's time as wall and monotonic clock."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(1_800_000_000 + self.monotonic(), UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
