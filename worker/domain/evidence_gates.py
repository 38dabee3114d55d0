"""Gates on the evidence: no suspicion, proofs of what the share can prove, the share as configured.

Rules: silence is no proof. What is missing is said in messages of the target and in the time they
take at the rate of late. The relative proof is asked for where there is enough of both providers
to compare (`COMPARE_FROM` to `SOAK_FROM` per cent); above it a soak time takes its place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from worker.domain import evidence, likelihood
from worker.domain.evidence import PROOF, Evidence, Signal
from worker.domain.gates import Gate, Verdict
from worker.domain.likelihood import Seen

if TYPE_CHECKING:
    from worker.domain.gates import Measures
    from worker.domain.likelihood import Logs

COMPARE_FROM: Final = 5
SOAK_FROM: Final = 90
_TOO_MANY: Final = 10_000_000
_NOT_LOOKED: Final = Gate(
    "evidence", f"at most {evidence.FRESH_S:g} s old, about this share", "none",
    Verdict.NOT_ENOUGH, missing=f"a look of the monitor: one every {evidence.TICK_S:g} s",
)  # fmt: skip
_ONE_OF_TWO: Final = PROOF + math.log(2.0)
"""The comparison is the mean of two proofs: what one takes that has no help from the other."""


def evidence_gates(measures: Measures, share: int) -> tuple[Gate, ...]:
    """What an advance from this share has to have proved."""
    known = measures.evidence
    if known is None:
        return (_NOT_LOOKED,)
    found = [_alarm(known), _assignment(known)]
    for signal in Signal:
        if signal is Signal.UNDELIVERED and not measures.gives_reports:
            found.append(_gate(f"{signal} proof", "no reports", Verdict.NOT_APPLICABLE))
            continue
        found.append(_low(known, signal, measures))
        if not COMPARE_FROM <= share < SOAK_FROM:
            continue
        if signal is Signal.UNDELIVERED and not measures.legacy_gives_reports:
            found.append(_gate(f"{signal} comparison", "none of legacy", Verdict.NOT_APPLICABLE))
        else:
            found.append(_no_worse(known, signal, measures, share))
    return tuple(found)


def _alarm(known: Evidence) -> Gate:
    suspects = evidence.suspicious(known)
    verdict = Verdict.FAIL if suspects else Verdict.PASS
    return Gate("alarm", "no detector above half its level", ", ".join(suspects) or "none", verdict)


def _assignment(known: Evidence) -> Gate:
    wrong = evidence.misassigned(known)
    measured = "another share" if wrong else "as configured"
    return Gate("assignment", "the share realised is the one configured", measured,
                Verdict.FAIL if wrong else Verdict.PASS)  # fmt: skip


def _low(known: Evidence, signal: Signal, measures: Measures) -> Gate:
    value = evidence.low_proof(known, signal)
    left = _until_low(known, signal, known.low[signal], 1.0, PROOF)
    return _proof(f"{signal} proof", "below its bound, 20 to 1", value, known, signal,
                  measures, left)  # fmt: skip


def _no_worse(known: Evidence, signal: Signal, measures: Measures, share: int) -> Gate:
    value = evidence.no_worse_proof(known, signal)
    either = (
        _until_no_worse(known, signal, share),
        _until_low(known, signal, known.negligible[signal], evidence.NEGLIGIBLE, _ONE_OF_TWO),
    )
    left = min((messages for messages in either if messages is not None), default=None)
    return _proof(f"{signal} comparison", "no worse than legacy, 20 to 1", value, known,
                  signal, measures, left)  # fmt: skip


def _until_low(
    known: Evidence, signal: Signal, logs: Logs, part: float, wanted: float
) -> float | None:
    """Messages until the rate is proved below that part of the bound in force.

    At the rate of failures seen so far; where nothing was seen, none is taken for granted.
    """
    events, total, _, _ = known.counted[signal]
    seen = Seen(events / total if total else 0.0, 1.0)
    gains = likelihood.rate_gains(seen, part * known.bounds[signal][0], likelihood.LOWER)
    return messages_until(logs, gains, wanted)


def _until_no_worse(known: Evidence, signal: Signal, share: int) -> float | None:
    """Messages of the target until the comparison is proved."""
    events, total, theirs, of = known.counted[signal]
    if not total or not of:
        return None
    others = (100.0 - share) / share
    target, legacy = Seen(events / total, 1.0), Seen(others * theirs / of, others)
    gains = likelihood.ratio_gains(target, legacy, likelihood.BETTER)
    return messages_until(known.no_worse[signal], gains, _ONE_OF_TWO)


def _proof(  # noqa: PLR0917 - one row of the table
    name: str, required: str, value: float, known: Evidence, signal: Signal,
    measures: Measures, left: float | None,
) -> Gate:  # fmt: skip
    total = known.counted[signal][1]
    if signal is Signal.UNDELIVERED and known.unreported[0]:
        missing = "reports of the target are missing altogether; see that they reach the webhook"
        return Gate(name, required, "no reports come", Verdict.NOT_ENOUGH, int(total), missing)
    odds = math.exp(min(value, 20.0))
    measured = f"{odds:.3g} to 1" if total else "nothing"
    if value >= PROOF:
        return Gate(name, required, measured, Verdict.PASS, int(total))
    return Gate(name, required, measured, Verdict.NOT_ENOUGH, int(total),
                _missing(left, total, measures.per_s))  # fmt: skip


def _missing(left: float | None, total: float, per_s: float) -> str:
    if left is None:
        return "not to be proved at the rate of failures seen so far"
    wanted = f"about {left:.0f} messages" + ("" if total else " without a failure")
    if not per_s:
        return f"{wanted}; none come at present"
    return f"{wanted}, {left / per_s / 60:.0f} min at the present rate"


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


def _gate(name: str, measured: str, verdict: Verdict) -> Gate:
    return Gate(name, "proved (20 to 1)", measured, verdict)
