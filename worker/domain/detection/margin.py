"""The proof that the target is hardly worse than legacy: an e-process, made by betting on blocks.

Refuted is "the target's rate is at least legacy's plus the margin, and at least `TOLERATED` times
legacy's"; so what is proved is that it is below the wider of both. Where rates are small the margin
is the wider one, and hundreds of messages prove what a ratio alone would need thousands for.

    block        events and outcomes of both providers, closed by counts alone: never by events
    edge         a pair of rates (t0, l0) that the claim just allows: t0 = rho l0 + m
    gain         log of (1 - kT(1-t0))^xT (1 + kT t0)^(nT-xT) (1 + kL(1-l0))^xL (1 - kL l0)^(nL-xL)
    stakes       kT = mu / nT and kL = rho mu / nL

Validity: each factor is 1 - kT(x - t0) or 1 + kL(y - l0), and 1 + z <= exp z, so that the expected
gain factor of a block is at most exp(-mu (pT - rho pL - m)), which is at most 1 wherever the claim
is refuted, whatever edge and stake were chosen before the block was opened, with rates and shares
that change from block to block. By Ville's inequality the product passes 20 with a probability of
at most 1/20, however often one looks. (Turner, Ly, Gruenwald 2024, arXiv 2106.02693; Waudby-Smith,
Ramdas 2024, arXiv 2010.09686.) It supposes that messages fail independently of each other: failures
in clusters of one provider make it weaker.

Rules: pure; only + - * /, square roots and log1p in a fixed order, so that the same blocks give the
same numbers, bit for bit. The bet depends on blocks closed before alone.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from worker.domain.detection.likelihood import TOLERATED, Logs

LEAST: Final = 20
"""Outcomes of both providers that close a block."""
STAKES: Final[Logs] = (0.5, 1.0)
"""Parts of the stake that pays best at equal rates: the smaller proves a target that is worse by
up to three quarters of the margin."""
UNPROVED: Final[Logs] = (0.0,) * len(STAKES)
_PRIOR_EVENTS, _PRIOR_OUTCOMES = 0.5, 50.0
_LOWEST, _HIGHEST = 0.000_1, 0.5
_MOST_LOST: Final = 0.999
"""Part of its capital that a bet risks at most."""
_STEPS: Final = 4


class Block(NamedTuple):
    """Events and outcomes of both providers. Counts may be fractions: then gains are expected."""

    target_events: float = 0.0
    target: float = 0.0
    legacy_events: float = 0.0
    legacy: float = 0.0

    def plus(self, other: Block) -> Block:
        """The sums of both."""
        one, two, three, four = other
        return Block(self[0] + one, self[1] + two, self[2] + three, self[3] + four)

    def times(self, factor: float) -> Block:
        """The same, so many times."""
        return Block(*(each * factor for each in self))

    @property
    def is_whole(self) -> bool:
        """Whether it holds enough to be closed; looks at outcomes, never at events."""
        return self.target > 0 and self.legacy > 0 and self.target + self.legacy >= LEAST


EMPTY: Final = Block()


def expected_rate(before: Block) -> float:
    """The rate that both are expected to have, from the blocks closed before."""
    events = before.target_events + before.legacy_events + _PRIOR_EVENTS
    rate = events / (before.target + before.legacy + _PRIOR_OUTCOMES)
    return min(max(rate, _LOWEST), _HIGHEST)


def gains(block: Block, rate: float, margin: float) -> Logs:
    """What a block adds to the proof, nats, one for each of `STAKES`.

    Args:
        block: closed; both have outcomes.
        rate: that both are expected to have, fixed before the block was opened.
        margin: the difference of rates that is tolerated, 0 to 1.
    """
    slope, theirs, ours = _edge(block, rate, margin)
    stake = (ours - rate) / (ours * (1.0 - ours))
    on_legacy = min(slope * stake * block.target / block.legacy, _MOST_LOST / theirs)
    on_target = on_legacy * block.legacy / block.target / slope
    return tuple([
        block.target_events * math.log1p(-part * on_target * (1.0 - ours))
        + (block.target - block.target_events) * math.log1p(part * on_target * ours)
        + block.legacy_events * math.log1p(part * on_legacy * (1.0 - theirs))
        + (block.legacy - block.legacy_events) * math.log1p(-part * on_legacy * theirs)
        for part in STAKES
    ])  # fmt: skip


def _edge(block: Block, rate: float, margin: float) -> tuple[float, float, float]:
    """The edge that is wider at that rate, and its point nearest to equal rates.

    Returns:
        Slope of the edge, legacy's rate, the target's rate.
    """
    if rate * (TOLERATED - 1.0) > margin:
        theirs = _nearest_on_ratio(rate, block.target / (block.target + block.legacy))
        return TOLERATED, theirs, TOLERATED * theirs
    theirs = _nearest_on_difference(rate, block.target, block.legacy, margin)
    return 1.0, theirs, theirs + margin


def _nearest_on_ratio(rate: float, share: float) -> float:
    """Legacy's rate where pT = TOLERATED pL comes nearest to `rate` (Kullback-Leibler)."""
    half = share * (TOLERATED + rate) + (1.0 - share) * (1.0 + TOLERATED * rate)
    return (half - math.sqrt(half * half - 4.0 * TOLERATED * rate)) / (2.0 * TOLERATED)


def _nearest_on_difference(rate: float, target: float, legacy: float, margin: float) -> float:
    """The same where pT = pL + margin: a root of a cubic, by Newton's method within its bracket.

    A few steps are enough: every point of the edge makes a valid bet, a nearer one a better bet.
    """
    low, high = max(0.0, rate - margin), rate
    theirs = rate - target / (target + legacy) * min(margin, rate)
    for _ in range(_STEPS):
        ours, above, below = theirs + margin, theirs + margin - rate, rate - theirs
        value = target * above * theirs * (1.0 - theirs) - legacy * below * ours * (1.0 - ours)
        slope = target * (theirs * (1.0 - theirs) + above * (1.0 - 2.0 * theirs))
        slope += legacy * (ours * (1.0 - ours) - below * (1.0 - 2.0 * ours))
        low, high = (low, theirs) if value > 0.0 else (theirs, high)
        moved = theirs - value / slope if slope else low
        theirs = moved if low < moved < high else (low + high) / 2.0
    return theirs
