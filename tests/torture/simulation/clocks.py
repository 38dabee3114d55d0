"""The clocks of a simulation: one true time, and a clock of each machine that may be wrong."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

BEGAN: Final = datetime(2027, 1, 15, 8, tzinfo=UTC)
"""The true time at which every history begins."""
_BEGAN_S: Final = BEGAN.timestamp()


class MachineClock:
    """Wall and monotonic time of one machine, as `ports.Clock`.

    Args:
        booted: what its monotonic clock says at the beginning, seconds.
    """

    def __init__(self, booted: float = 0.0) -> None:
        self._booted = booted
        self._loop = asyncio.get_running_loop()
        self.ahead_s = 0.0
        """By how much its wall clock is ahead of the true time."""

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self._loop.time() + self.ahead_s)

    def monotonic(self) -> float:
        return self._booted + self._loop.time()

    def seconds(self) -> float:
        """`now` in seconds since 1970."""
        return _BEGAN_S + self._loop.time() + self.ahead_s
