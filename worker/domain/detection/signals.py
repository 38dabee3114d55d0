"""What an attempt can show, and how much evidence an alarm about it takes.

Rules: pure. The budget of false alarms is one in `BUDGET_TICKS` for alarms that move traffic
(relative) and one for those that only hold (absolute), each shared between its detectors by
`_PART`.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final

BUDGET_TICKS: Final = 259_200.0
"""Ticks of 10 s in 30 days."""


class Signal(IntEnum):
    """What an attempt can show; the order of everything kept by signal."""

    FAILED = 0
    SLOW = 1
    UNDELIVERED = 2

    def __str__(self) -> str:
        """The word people read."""
        return self.name.lower()


SKEWED: Final = math.log(BUDGET_TICKS)
"""The evidence at which the share realised is not the one configured, nats. That only holds."""
SIGNALS: Final = tuple(Signal)
"""All, in their order."""

_PART: Final[tuple[tuple[float, ...], ...]] = (
    (0.5, 0.25, 0.25),  # relative, by signal
    (0.25, 0.25, 0.25),  # absolute, by signal and bound: failures have two bounds
)
_ABSOLUTE, _RELATIVE = (
    tuple(math.log(BUDGET_TICKS / part) for part in parts) for parts in reversed(_PART)
)


def level(*, relative: bool, signal: Signal) -> float:
    """The evidence at which a detector alarms, nats."""
    return (_RELATIVE if relative else _ABSOLUTE)[signal]
