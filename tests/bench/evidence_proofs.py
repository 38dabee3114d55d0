"""What an advance takes: messages until the proofs are complete, and how often they lie.

Rules: a proof is looked at every tick of 10 s since the share began. The figures stated are those
the method was chosen by, from minute ticks; they are held against these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.evidence_policies import ByEvidence
from tests.bench.evidence_traffic import HOUR, Case, Chances, Traffic
from worker.domain.detection import readings
from worker.domain.detection.readings import PROOF
from worker.domain.detection.signals import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.domain.detection.evidence import Evidence

MOST_FALSE = 0.05
MOST_OFF = 0.2
"""Of what is stated."""


def low(known: Evidence) -> float:
    """Below its bound."""
    return readings.low_proof(known, Signal.FAILED)


def no_worse(known: Evidence) -> float:
    """Hardly worse than legacy: below the wider of two points more and half as many more."""
    return readings.no_worse_proof(known, Signal.FAILED)


@dataclass(frozen=True)
class Proof:
    """One proof on one traffic."""

    label: str
    case: Case
    of: Callable[[Evidence], float]
    stated: int | None = None
    """Messages of the target in the median, as stated."""

    @property
    def name(self) -> str:
        return f"{self.label}, {self.case.split} %"


def off(proof: Proof, found: Sequence[float]) -> float | None:
    """By what part the median differs from what is stated; None: nothing is."""
    return median(found) / proof.stated - 1 if proof.stated else None


def proved_after(proof: Proof, seed: int) -> float:
    """Messages of the target until the proof is complete; infinite: not in the case's time."""
    policy, sent = ByEvidence(proof.case), 0.0
    for tick in Traffic(proof.case, seed).ticks():
        policy.look(tick)
        sent += tick.target.failed.total
        if proof.of(policy.known) >= PROOF:
            return sent
    return math.inf


_FLAWLESS = Chances(0.0)


def _equal(split: int, stated: int) -> Proof:
    return Proof("as good as legacy", Case("equal", split), no_worse, stated)


TRUE = (
    Proof("no failure", Case("flawless", 1, _FLAWLESS, _FLAWLESS), low, 73),
    Proof("2 % fail", Case("two", 1), low, 207),
    _equal(1, 423),
    _equal(5, 440),
    _equal(25, 505),
    _equal(50, 760),
    _equal(90, 2_132),
    Proof("0.1 % fail", Case("gate", 25, Chances(0.001), Chances(0.001)), no_worse),
)
"""The target is as good as legacy."""

FALSE = (
    Proof("at the bound, 5 %", Case("bound", 25, Chances(0.05), ticks=3 * HOUR), low),
    *(
        Proof("two points more", Case("margin", split, Chances(0.04), ticks=3 * HOUR), no_worse)
        for split in (1, 5, 25, 50, 98)
    ),
    Proof("two points more, changing shares",
          Case("margin", 25, Chances(0.04), ticks=3 * HOUR, moving=True), no_worse),
    Proof("half as many more", Case("ratio", 25, Chances(0.12), Chances(0.08), ticks=3 * HOUR),
          no_worse),
    Proof("2.5 against 0.5 %", Case("small", 25, Chances(0.025), Chances(0.005), ticks=3 * HOUR),
          no_worse),
)  # fmt: skip
"""The target is just as bad as is not to be proved, for three hours: what a proof says is a lie."""
