"""Faults at named points of a real process.

A fault is written `<point>[@<queue>]:<nth>:<action>`, several of them with commas between them:

    provider.legacy.send.applied:1:kill,broker.ack.before@sms.reports:3:term

Rules:
- The points are those of `tests.torture.points`; a point that is not there is refused.
- `nth` counts the passes of the point in this process, from 1. With `@<queue>`, only passes while a
  delivery of that queue is handled count: of that task, and of what it calls and awaits.
- Each fault happens once.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self, TypeVar

from tests.torture.points import APPLIED, BEFORE, BY_NAME, POINTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

T = TypeVar("T")
HANGS: Final = "a call hangs from now on"
"""Written to the output of the process, whose log it is."""
QUEUE: Final[ContextVar[str]] = ContextVar("queue", default="")
"""The queue whose delivery is handled here."""


class Action(StrEnum):
    """What happens at a point."""

    KILL = "kill"
    """SIGKILL to the own process."""
    TERM = "term"
    """SIGTERM to the own process, which goes on."""
    RAISE = "raise"
    """The error that the edge raises for a lost connection."""
    HANG = "hang"
    """Nothing, for ever."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as it was written."""

    point: str
    queue: str
    nth: int
    action: Action

    @classmethod
    def read(cls, text: str) -> Self:
        """Read one fault. Raises `ValueError`."""
        where, nth, action = text.split(":")
        point, _, queue = where.partition("@")
        if point not in POINTS:
            raise ValueError(f"expected a fault point of tests.torture.points, got {point!r}")
        return cls(point, queue, int(nth), Action(action))

    def __str__(self) -> str:
        """As it is written."""
        where = f"{self.point}@{self.queue}" if self.queue else self.point
        return f"{where}:{self.nth}:{self.action}"


class Faults:
    """Lets faults happen, and notes which points are passed.

    Args:
        written: the faults.
        passed: file to which every passed point is appended; None: nothing is noted.
    """

    def __init__(self, written: str = "", passed: Path | None = None) -> None:
        self._faults = [Fault.read(text) for text in written.split(",") if text]
        self._passes: Counter[Fault] = Counter()
        self._passed = passed

    async def around(
        self, operation: str, call: Callable[[], Awaitable[T]], loss: Callable[[], Exception]
    ) -> T:
        """Make a call with its points `before` and `applied`; a refusal is applied too.

        Args:
            operation: of the registry.
            call: the real call.
            loss: the error of a lost connection, for the action `raise`.
        """
        await self.at(operation, BEFORE, loss)
        try:
            return await call()
        finally:
            await self.at(operation, APPLIED, loss)

    async def at(self, operation: str, moment: str, loss: Callable[[], Exception]) -> None:
        """Pass a point; what is to happen there happens."""
        if operation not in BY_NAME or moment not in BY_NAME[operation].moments:
            raise AssertionError(f"no fault point {operation}.{moment} in tests.torture.points")
        point, queue = f"{operation}.{moment}", QUEUE.get()
        if self._passed is not None:
            with self._passed.open("a", encoding="utf-8") as notes:
                notes.write(f"{point}@{queue}\n")
        for fault in self._faults:
            if fault.point == point and fault.queue in ("", queue):
                self._passes[fault] += 1
                if self._passes[fault] == fault.nth:
                    await _happens(fault.action, loss)


async def _happens(action: Action, loss: Callable[[], Exception]) -> None:
    match action:
        case Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Action.TERM:
            os.kill(os.getpid(), signal.SIGTERM)
        case Action.RAISE:
            raise loss()
        case Action.HANG:
            print(HANGS, flush=True)
            await asyncio.Event().wait()
