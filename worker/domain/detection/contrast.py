"""Proof that one provider does well and the other does not, over the very same calls.

Rules: pure. "Bad in itself" leads down only where legacy is proved good meanwhile, and what was bad
may be over: so both are proved over calls that began at the same time, from when on the target's
trouble is suspected. Each is an e-process against the same bound; legacy's calls under way
count as failed (`cohorts.all_of_legacy`). An outage that ebbs away lets the suspicion begin
several times, just when some calls failed by chance, so the target's half asks for more. Settled
calls change the proof for good; the others are applied to a copy, and come again at the next tick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from worker.domain.detection.likelihood import (
    HIGHER,
    LOWER,
    EventCounts,
    Logs,
    plus,
    rate_gains,
    strength,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

PROVED_GOOD: Final = math.log(20.0)
"""Evidence that legacy does well, nats: alpha 0.05."""
PROVED_BAD: Final = math.log(100.0)
"""Evidence that the target does not, nats: alpha 0.01."""
_MOST: Final = math.log(1_000.0)
"""Up to which they are followed: what is over must be seen to be over."""


class Proofs(NamedTuple):
    """Logarithms of likelihood ratios, one an alternative."""

    good: Logs = (0.0,) * len(LOWER)
    """Legacy keeps the bound."""
    bad: Logs = (0.0,) * len(HIGHER)
    """The target does not."""


_NO_PROOF: Final = Proofs()


@dataclass(frozen=True, slots=True)
class Contrast:
    """What is proved of both, since when."""

    shown: Proofs = _NO_PROOF
    """With calls that have not all ended."""
    settled: Proofs = _NO_PROOF
    start: float | None = None
    """Calls that began earlier are counted, or do not count. None: nothing is suspected."""

    @property
    def stands(self) -> bool:
        """Whether legacy does well and the target does not."""
        good, bad = map(strength, self.shown)
        return good >= PROVED_GOOD and bad >= PROVED_BAD


NOTHING_APART: Final = Contrast()


class CallsOfBoth(NamedTuple):
    """Outcomes of calls that began at the same time."""

    start: float
    """Seconds since the epoch."""
    until: float
    """When the next such calls begin."""
    target: EventCounts
    legacy: EventCounts
    settled: bool


def contrasted(known: Contrast, calls: Iterable[CallsOfBoth], now: float, bound: float) -> Contrast:
    """Take calls into the proof, in the order of their start.

    Args:
        known: so far.
        calls: of both.
        now: seconds since the epoch; where nothing was suspected, calls from now on count.
        bound: of the failures, 0 to 1.
    """
    start = now if known.start is None else known.start
    shown = settled = known.settled
    settling = True
    for each in calls:
        if each.start < start:
            continue
        shown = Proofs(
            good=_followed(shown.good, each.legacy, bound, LOWER),
            bad=_followed(shown.bad, each.target, bound, HIGHER),
        )
        settling = settling and each.settled
        if settling:
            settled, start = shown, each.until
    return Contrast(shown, settled, start)


def _followed(logs: Logs, seen: EventCounts, bound: float, factors: tuple[float, ...]) -> Logs:
    return tuple([min(_MOST, log) for log in plus(logs, rate_gains(seen, bound, factors))])
