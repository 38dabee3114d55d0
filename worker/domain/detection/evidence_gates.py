"""Gates on the evidence: no suspicion, proofs of what the share can prove, the share as configured.

Rules: silence is no proof. What is missing is said in messages of the target and in the time they
take at the rate of late. Failed and slow are compared with legacy where there is enough of both
providers (`COMPARE_FROM` to `SOAK_FROM` per cent); above it a soak time takes the place of that.
What is not delivered depends on people's phones more than on a provider: there the bound is kept,
or legacy does hardly better, at every share that leaves legacy something.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from worker.domain.detection import likelihood, margin, readings, tick
from worker.domain.detection.likelihood import LOWER, EventCounts, Logs
from worker.domain.detection.margin import Block
from worker.domain.detection.readings import PROOF
from worker.domain.detection.signals import SIGNALS, Signal
from worker.domain.migration import missing
from worker.domain.migration.gate_names import GateName
from worker.domain.migration.gates import Gate, GateVerdict
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from worker.domain.detection.evidence import Evidence
    from worker.domain.migration.gates import Measures
    from worker.domain.migration.missing import Missing

COMPARE_FROM: Final = 5
SOAK_FROM: Final = 90
_TOO_MANY: Final = 10_000_000
ONE_OF_TWO: Final = PROOF + math.log(2.0)
"""What one of two proofs takes that has no help from the other, where their mean is asked."""
WORDS: Final = {
    Signal.FAILED: "failed",
    Signal.SLOW: "slow",
    Signal.UNDELIVERED: "not delivered",
}
PROOFS: Final = {
    Signal.FAILED: GateName.FAILED_PROOF,
    Signal.SLOW: GateName.SLOW_PROOF,
    Signal.UNDELIVERED: GateName.UNDELIVERED_PROOF,
}
COMPARISONS: Final = {
    Signal.FAILED: GateName.FAILED_COMPARISON,
    Signal.SLOW: GateName.SLOW_COMPARISON,
}
UNPROVED_LOW: Final[Logs] = (0.0,) * len(LOWER)
_NO_REPORTS: Final = "reports of the target are missing altogether; see that they reach the webhook"
_NOT_LOOKED: Final = Gate(
    GateName.EVIDENCE, f"at most {readings.FRESH_S:g} s old, about this share", "none",
    GateVerdict.NOT_ENOUGH,
    missing=missing.only_words(f"a look of the monitor: one every {tick.TICK_S:g} s"),
)  # fmt: skip


def evidence_gates(measures: Measures, share: int) -> tuple[Gate, ...]:
    """What an advance from this share has to have proved."""
    evidence = measures.evidence
    if evidence is None:
        return (_NOT_LOOKED,)
    found = [_alarm(evidence), _assignment(evidence)]
    for signal in SIGNALS:
        if signal is Signal.UNDELIVERED and not measures.gives_reports:
            found.append(_without_reports(PROOFS[signal]))
            continue
        if signal is Signal.UNDELIVERED and share < FULL_SHARE and measures.legacy_gives_reports:
            found.append(_low_or_no_worse(evidence, signal, measures, share))
            continue
        found.append(_low(evidence, signal, measures))
        if signal in COMPARISONS and COMPARE_FROM <= share < SOAK_FROM:
            found.append(_no_worse(evidence, signal, measures, share))
    return tuple(found)


def _alarm(evidence: Evidence) -> Gate:
    suspects = readings.suspicious(evidence)
    verdict = GateVerdict.FAIL if suspects else GateVerdict.PASS
    required, measured = "no detector above half its level", ", ".join(suspects) or "none"
    sick = evidence.sick_replica if suspects else None
    mend = missing.only_words(sick.words) if sick else None
    return Gate(GateName.ALARM, required, measured, verdict, missing=mend)


def _assignment(evidence: Evidence) -> Gate:
    wrong = readings.misassigned(evidence)
    measured = "another share" if wrong else "as configured"
    return Gate(GateName.ASSIGNMENT, "the share realised is the one configured", measured,
                GateVerdict.FAIL if wrong else GateVerdict.PASS)  # fmt: skip


def _low(evidence: Evidence, signal: Signal, measures: Measures) -> Gate:
    value, left = readings.low_proof(evidence, signal), _until_low(evidence, signal, PROOF)
    required = f"{_bound(evidence, signal)}, 20 to 1"
    return _proof(PROOFS[signal], required, value, evidence, signal, measures, left)


def _no_worse(evidence: Evidence, signal: Signal, measures: Measures, share: int) -> Gate:
    value = readings.no_worse_proof(evidence, signal)
    left = _until_no_worse(evidence, signal, share, PROOF)
    required = f"{_at_most_worse(evidence, signal)}, 20 to 1"
    return _proof(COMPARISONS[signal], required, value, evidence, signal, measures, left)


def _low_or_no_worse(evidence: Evidence, signal: Signal, measures: Measures, share: int) -> Gate:
    value = readings.low_or_no_worse_proof(evidence, signal)
    either = (
        _until_low(evidence, signal, ONE_OF_TWO),
        _until_no_worse(evidence, signal, share, ONE_OF_TWO),
    )
    left = min((messages for messages in either if messages is not None), default=None)
    required = f"{_bound(evidence, signal)}, or {_at_most_worse(evidence, signal)}, 20 to 1"
    return _proof(PROOFS[signal], required, value, evidence, signal, measures, left)


def _bound(evidence: Evidence, signal: Signal) -> str:
    return f"at most {100.0 * evidence.bounds[signal][0]:g} % {WORDS[signal]}"


def _at_most_worse(evidence: Evidence, signal: Signal) -> str:
    """What the comparison proves, in the words of a gate."""
    points = 100.0 * evidence.margins[signal]
    noun = "point" if points == 1.0 else "points"
    return f"at most {points:g} {noun} (or half) more {WORDS[signal]} than legacy"


def _until_low(evidence: Evidence, signal: Signal, wanted: float) -> float | None:
    """Messages until the rate is proved below its bound.

    At the rate of failures seen so far; where nothing was seen, none is taken for granted.
    """
    events, total, _, _ = evidence.counted[signal]
    rate = events / total if total else 0.0
    return until_low(rate, evidence.bounds[signal][0], wanted, evidence.low[signal])


def _until_no_worse(evidence: Evidence, signal: Signal, share: int, wanted: float) -> float | None:
    """Messages of the target until the comparison is proved, at the rates seen so far."""
    events, total, theirs, of = evidence.counted[signal]
    if not total or not of:
        return None
    expected = margin.expected_rate(evidence.compared[signal])
    tolerated, logs = evidence.margins[signal], evidence.no_worse[signal]
    return until_no_worse((events / total, theirs / of), share, expected, tolerated, wanted, logs)


def until_low(
    rate: float, bound: float, wanted: float = PROOF, logs: Logs = UNPROVED_LOW
) -> float | None:
    """Messages until a rate is expected to be proved below its bound; None: never."""
    return messages_until(logs, likelihood.rate_gains(EventCounts(rate, 1.0), bound, LOWER), wanted)


def until_no_worse(  # noqa: PLR0917 - as `margin.gains` takes them, then as `until_low` does
    rates: tuple[float, float], share: float, expected: float, tolerated: float,
    wanted: float = PROOF, logs: Logs = margin.UNPROVED,
) -> float | None:  # fmt: skip
    """Messages of the target until it is expected to be proved hardly worse; None: never.

    Args:
        rates: of target and legacy.
        share: the target's, per cent, below 100.
        expected: the rate that both are expected to have.
        tolerated: the margin.
        wanted: nats.
        logs: of the proof as it stands.
    """
    others = (100.0 - share) / share
    block = Block(rates[0], 1.0, others * rates[1], others)
    return messages_until(logs, margin.gains(block, expected, tolerated), wanted)


def _proof(  # noqa: PLR0917 - one row of the table
    name: GateName, required: str, value: float, evidence: Evidence, signal: Signal,
    measures: Measures, left: float | None,
) -> Gate:  # fmt: skip
    total = evidence.counted[signal][1]
    if signal is Signal.UNDELIVERED and evidence.unreported[0]:
        mend = missing.only_words(_NO_REPORTS)
        return Gate(name, required, "no reports come", GateVerdict.NOT_ENOUGH, int(total), mend)
    odds = math.exp(min(value, 20.0))
    measured = f"{odds:.3g} to 1" if total else "nothing"
    if value >= PROOF:
        return Gate(name, required, measured, GateVerdict.PASS, int(total))
    return Gate(name, required, measured, GateVerdict.NOT_ENOUGH, int(total),
                _missing(left, total, measures.per_s))  # fmt: skip


def _missing(left: float | None, total: float, per_s: float) -> Missing:
    if left is None:
        return missing.only_words("not to be proved at the rate of failures seen so far")
    return missing.estimated(round(left), per_s, without_failure=not total)


def messages_until(logs: Logs, gains: Logs | None, wanted: float) -> float | None:
    """Messages until the mean likelihood ratio passes `wanted` at these gains; None: never."""
    if gains is None:
        return None

    def after(messages: float) -> float:
        moved = [log + messages * gain for log, gain in zip(logs, gains, strict=True)]
        return likelihood.strength(moved)

    low, high = 0.0, 1.0
    while after(high) < wanted:
        low, high = high, high * 2
        if high > _TOO_MANY:
            return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if after(middle) < wanted else (low, middle)
    return math.ceil(high)


def _without_reports(name: GateName) -> Gate:
    return Gate(name, "proved (20 to 1)", "no reports", GateVerdict.NOT_APPLICABLE)
