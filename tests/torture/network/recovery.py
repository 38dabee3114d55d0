"""How soon messages go out at full rate again after a server was away.

Rules: the truth is when the providers took messages, by their journals. Full rate is that of the
seconds before the fault, in the same run. A machine that stands still for others makes everything
late: the longest time in which this very process was not run is measured, and allowed for.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import TYPE_CHECKING, Final

from tests.torture.network.chart import chart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.whole_system import System
    from tests.torture.network.traffic import Traffic

BAR_S: Final = 10
"""Seconds after the server's return in which the full rate has to be back."""
FULL: Final = 0.9
"""Share of the rate before the fault that counts as the full one."""
BEFORE_S: Final = 5
AFTER_S: Final = 20
_SMOOTHED_S: Final = 2
_TICK_S: Final = 0.05


@dataclass(frozen=True)
class Recovery:
    """What came of a fault; times are seconds of the machine's clock."""

    name: str
    sends: Sequence[float]
    lost_at: float
    """When the server went away."""
    back_at: float
    """When it was back."""
    stood_still_s: float
    """The longest time in which the machine did not run us."""

    @property
    def rate_before(self) -> float:
        """Messages per second before the fault."""
        return self._rate(self.lost_at - BEFORE_S, BEFORE_S)

    @property
    def full_after_s(self) -> int | None:
        """Whole seconds from the server's return to the full rate; None: it never came."""
        for second in range(AFTER_S - _SMOOTHED_S):
            if self._rate(self.back_at + second, _SMOOTHED_S) >= FULL * self.rate_before:
                return second + _SMOOTHED_S
        return None

    @property
    def longest_gap_s(self) -> float:
        """The longest time without a send from the fault on."""
        times = [self.lost_at, *(each for each in self.sends if each > self.lost_at)]
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def _rate(self, since: float, seconds: float) -> float:
        return sum(since <= each < since + seconds for each in self.sends) / seconds

    def __str__(self) -> str:
        """The figures, and the rate second by second."""
        full = "never" if self.full_after_s is None else f"{self.full_after_s} s"
        away_s = self.back_at - self.lost_at
        lines = (
            f"{self.name}: away for {away_s:.1f} s, nothing sent for {self.longest_gap_s:.1f} s",
            f"full rate after the return: {full}, bar {BAR_S} s",
            f"this machine stood still for up to {self.stood_still_s:.1f} s",
            chart("messages taken by the providers, by second", self._by_second()),
        )
        return "\n".join(lines)

    def _by_second(self) -> Sequence[tuple[str, float]]:
        counts = Counter(floor(each - self.lost_at) for each in self.sends)
        away = range(int(self.back_at - self.lost_at) + 1)
        seconds = range(-BEFORE_S, len(away) + AFTER_S)
        return [(f"{each:>4} s{' away' * (each in away)}", counts[each]) for each in seconds]


@asynccontextmanager
async def standing_still() -> AsyncIterator[list[float]]:
    """The longest time, in its one item, in which this process was not run within the block."""
    longest = [0.0]

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK_S)  # how late it ends is what is measured
            longest[0] = max(longest[0], time.monotonic() - before - _TICK_S)

    ticking = asyncio.create_task(tick())
    try:
        yield longest
    finally:
        ticking.cancel()


def sends(system: System, traffic: Traffic) -> list[float]:
    """When a provider took each of these messages, oldest first."""
    return sorted(line["monotonic"] for line in system.taken() if line["key"] in traffic.commands)
