"""The cases of the simulation and their bars.

Rules: a bar is about the evidence alone; the other policies are shown beside it. Cases without a
bar are here because a migration meets them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.evidence_policies import EVIDENCE
from tests.bench.evidence_traffic import DELIVERY_AGE, HOUR, MINUTE, USUAL, Case, Chances

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.evidence_runs import Run

MOST_FALSE = 0.01
FOUND_AFTER_MIN = 15
_EVERYDAY = Chances(0.02, 0.02, 0.01)
_DEAD = Chances(1.0)


@dataclass(frozen=True)
class Row:
    """A case, how it is named in the table, and what the evidence has to hold."""

    label: str
    case: Case
    bar: str = ""
    holds: Callable[[Sequence[Run]], bool] | None = None

    @property
    def name(self) -> str:
        return f"{self.label}, {self.case.split} %"

    def verdict(self, runs: Sequence[Run]) -> bool | None:
        """None: nothing is asked."""
        return self.holds(runs) if self.holds else None


def quantile(values: Sequence[float], part: float) -> float:
    """The value at or below which that part of them lies; infinity counts as a value."""
    return sorted(values)[min(len(values) - 1, math.ceil(part * len(values)) - 1)]


def downs(runs: Sequence[Run], policy: str = EVIDENCE) -> int:
    return sum(run.down[policy].ever for run in runs)


def _few_false(runs: Sequence[Run]) -> bool:
    return downs(runs) <= MOST_FALSE * len(runs)


def _within(messages: int) -> Callable[[Sequence[Run]], bool]:
    return lambda runs: median(run.down[EVIDENCE].messages for run in runs) <= messages


def _called_common(minutes: float) -> Callable[[Sequence[Run]], bool]:
    def holds(runs: Sequence[Run]) -> bool:
        return not downs(runs) and median(run.held.minutes for run in runs) <= minutes

    return holds


def _never(runs: Sequence[Run]) -> bool:
    return not downs(runs)


def _lost_is_found(runs: Sequence[Run]) -> bool:
    latest = max(run.down[EVIDENCE].minutes for run in runs)
    return latest <= DELIVERY_AGE / MINUTE + FOUND_AFTER_MIN


def _quiet(label: str, split: int, chances: Chances = USUAL, **more: object) -> Row:
    return Row(
        label,
        Case(label, split, chances, chances, **more),
        f"<= {100 * MOST_FALSE:g} %",
        _few_false,
    )


QUIET = (
    *(_quiet("no difference", split) for split in (1, 5, 50, 98)),
    *(_quiet("everyday", split, _EVERYDAY, restless=True) for split in (1, 25)),
    Row("2 and 3 %", Case("tolerated", 50, Chances(0.03), ticks=8 * HOUR)),
    Row("20,000 numbers", Case("numbers", 1, numbers=20_000, ticks=8 * HOUR)),
)
"""Nothing to blame the target for."""


def _worse(label: str, split: int, bad: Chances, messages: int | None = None,
           usual: Chances = USUAL, **more: object) -> Row:  # fmt: skip
    case = Case(label, split, usual, usual, trouble=(bad, usual), **{"ticks": 10 * HOUR, **more})
    if messages is None:
        return Row(label, case)
    return Row(label, case, f"<= {messages} msg", _within(messages))


_TEN = Chances(0.1)
_SLOW = Chances(0.02, 0.02)
FOUND = (
    _worse("dead", 1, _DEAD, 12),
    _worse("dead", 50, _DEAD),
    _worse("half fail", 1, Chances(0.5), 30),
    _worse("2 -> 10 %", 1, _TEN, 350),
    _worse("2 -> 10 %", 5, _TEN, 350),
    *(_worse("2 -> 10 %", split, _TEN) for split in (25, 50, 98)),
    _worse("2 -> 10 %", 100, _TEN, ticks=2 * HOUR),
    _worse("10 %, probed", 100, _TEN, probed=True),
    _worse("10 % after 5 h", 5, _TEN, begins=5 * HOUR, ticks=10 * HOUR),
    _worse("2 -> 5 %", 25, Chances(0.05)),
    _worse("slow 2 -> 20 %", 5, Chances(0.02, 0.2), usual=_SLOW),
    Row(
        "undelivered",
        Case(
            "lost", 5, Chances(0.02, 0.0, 0.01), Chances(0.02, 0.0, 0.01),
            trouble=(Chances(0.02, 0.0, 0.6), Chances(0.02, 0.0, 0.01)), ticks=10 * HOUR,
        ),
        f"<= {FOUND_AFTER_MIN} min",
        _lost_is_found,
    ),
)  # fmt: skip
"""The target got worse; legacy is as before."""


def _both(label: str, split: int, bad: tuple[Chances, Chances], bar: str,
          holds: Callable[[Sequence[Run]], bool] | None, **more: object) -> Row:  # fmt: skip
    times = {"lasts": 20 * MINUTE, "ticks": 2 * HOUR, **more}
    return Row(label, Case(label, split, trouble=bad, **times), bar, holds)


_OUTAGE = (Chances(0.15), Chances(0.15))
_NEARLY = (Chances(0.15), Chances(0.12))
_ALL_DEAD = (_DEAD, _DEAD)
COMMON = (
    _both("both 15 %", 1, _OUTAGE, "0", _never),
    _both("both 15 %", 5, _OUTAGE, "0, 12 min", _called_common(12)),
    *(_both("both 15 %", s, _OUTAGE, "0, 3 min", _called_common(3)) for s in (25, 50, 98)),
    _both("15 and 12 %", 50, _NEARLY, "", None),
    _both("both dead", 50, _ALL_DEAD, "0", _never, lasts=5 * MINUTE),
    *(_both("late by 30 s", s, _ALL_DEAD, "0", _never, lasts=5 * MINUTE, late=(3, 0))
      for s in (5, 50)),
    _both("late by 60 s", 50, _ALL_DEAD, "0", _never, lasts=5 * MINUTE, late=(6, 0)),
    _both("legacy later", 50, (Chances(0.5), Chances(0.5)), "", None, late=(0, 3)),
    _both("legacy alone", 25, (USUAL, Chances(0.15)), "0", _never),
)  # fmt: skip
"""Trouble that is not the target's, for 20 (dead: 5) minutes."""
