"""What evidence says.

Rules: pure; nothing is changed. What acts on it is the decision table (`judgement`) and the gates.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from worker.domain.detection.likelihood import reaches, strength
from worker.domain.detection.signals import SIGNALS, SKEWED, Signal, level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.domain.detection.evidence import Evidence
    from worker.domain.detection.margin import Block

PROOF: Final = math.log(20.0)
"""Evidence an advance asks for: alpha 0.05."""
FRESH_S: Final = 60.0
"""Older evidence says nothing about now, seconds."""
NEWS_S: Final = 60.0
"""An alarm without an event of the target for longer than that is shown, and not acted on."""


class Detector(NamedTuple):
    """How far a detector is from its alarm, nats."""

    value: float
    alarm: float


class SignalReading(NamedTuple):
    """What was counted about one signal, and its two detectors."""

    counted: Block
    relative: Detector
    """Worse than legacy."""
    absolute: Detector
    """Bad in itself: the stronger of its detectors."""


def signal_readings(evidence: Evidence) -> dict[Signal, SignalReading]:
    """What is known of each signal."""
    return {
        signal: SignalReading(
            evidence.counted[signal],
            Detector(strength(evidence.relative[signal]), level(relative=True, signal=signal)),
            Detector(absolute_strength(evidence, signal), level(relative=False, signal=signal)),
        )
        for signal in SIGNALS
    }


def relative_alarm(evidence: Evidence, signal: Signal) -> bool:
    """The target is worse than legacy."""
    return reaches(evidence.relative[signal], level(relative=True, signal=signal))


def relative_suspicion(evidence: Evidence, signal: Signal) -> bool:
    """The target may be worse than legacy: above the root of the level."""
    return strength(evidence.relative[signal]) >= level(relative=True, signal=signal) / 2.0


def absolute_alarm(evidence: Evidence, signal: Signal) -> bool:
    """The target is bad in itself."""
    wanted = level(relative=False, signal=signal)
    return any(reaches(logs, wanted) for logs in evidence.absolute[signal])


def absolute_strength(evidence: Evidence, signal: Signal) -> float:
    """The stronger of a signal's absolute detectors, nats."""
    return max(strength(logs) for logs in evidence.absolute[signal])


def about(
    evidence: Evidence | None, since: float | None, now: float, anew: int = 0
) -> Evidence | None:
    """The evidence, where it is about that share and state and not older than `FRESH_S`."""
    if (
        evidence is None
        or (evidence.since, evidence.anew) != (since, anew)
        or now - evidence.at > FRESH_S
    ):
        return None
    return evidence


def goes_on(evidence: Evidence, signals: Iterable[Signal]) -> bool:
    """Whether any of it happened at the target within `NEWS_S`; what is not known may have."""
    news = [evidence.news[signal] for signal in signals]
    return any(at is None or evidence.at - at <= NEWS_S for at in news)


def suspicious(evidence: Evidence) -> tuple[str, ...]:
    """Detectors above the root of their level: not the time to advance."""
    found = []
    for signal in SIGNALS:
        if relative_suspicion(evidence, signal):
            found.append(f"{signal}: worse than legacy")
        if absolute_strength(evidence, signal) >= level(relative=False, signal=signal) / 2.0:
            found.append(f"{signal}: bad in itself")
    return tuple(found)


def legacy_is_bad(evidence: Evidence) -> bool:
    """Legacy fails more than the second bound: no place to go back to."""
    return reaches(evidence.legacy_bad, level(relative=False, signal=Signal.FAILED))


def legacy_is_good(evidence: Evidence) -> bool:
    """Legacy was proved good, and the target bad, in the same calls."""
    return evidence.apart.stands


def misassigned(evidence: Evidence) -> bool:
    """The share realised is not the one configured."""
    return reaches(evidence.skew, SKEWED)


def low_proof(evidence: Evidence, signal: Signal) -> float:
    """Evidence that the target keeps its bound, nats."""
    return strength(evidence.low[signal])


def no_worse_proof(evidence: Evidence, signal: Signal) -> float:
    """Evidence that the target is hardly worse than legacy, nats."""
    return strength(evidence.no_worse[signal])


def low_or_no_worse_proof(evidence: Evidence, signal: Signal) -> float:
    """Evidence that the target keeps its bound or is hardly worse than legacy, nats.

    The mean of both processes is an e-process of "neither".
    """
    return strength((low_proof(evidence, signal), no_worse_proof(evidence, signal)))
