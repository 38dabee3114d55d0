"""The time of a broker: what happens by itself, and when.

Rules: time is handed in. `due_ms` says when something happens by itself, and `tick` does it; a
broker that is down does nothing.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Timed:
    """The part of `server.Server` that knows the time.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.is_up = True
        self.on_due: Callable[[], None] = _nothing
        """Called when `due_ms` became earlier, or is not None any more."""
        self._clock = clock
        self._reminders: list[tuple[float, int, Callable[[], None]]] = []
        self._reminded = 0

    def now_ms(self) -> float:
        """The time in milliseconds since the epoch."""
        return self._clock() * 1000

    @property
    def due_ms(self) -> float | None:
        """When `tick` has something to do; None: nothing, as things are."""
        return self._reminders[0][0] if self._reminders and self.is_up else None

    def tick(self) -> None:
        """Do everything that is due."""
        now_ms = self.now_ms()
        while self.is_up and self._reminders and self._reminders[0][0] <= now_ms:
            heapq.heappop(self._reminders)[2]()

    def remind(self, at_ms: float, call: Callable[[], None]) -> None:
        """Have something called at a time."""
        self._reminded += 1
        heapq.heappush(self._reminders, (at_ms, self._reminded, call))
        if self._reminders[0][1] == self._reminded:
            self.on_due()


def _nothing() -> None:
    """Do nothing: the default of `on_due`."""
