"""Gates: the conditions of an upward move.

Rules: a gate says what is required, what was measured, on which sample, and its verdict. "Not
enough data" is a verdict of its own and never a pass, because silence is neither success nor
failure. At a share of 0 there is no evidence yet, so only the lock and the account call are
checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from worker.domain.migration import missing
from worker.domain.migration.gate_names import GateName

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from worker.domain.detection.evidence import Evidence
    from worker.domain.migration.missing import Missing
    from worker.domain.migration.phases import Requirements
    from worker.domain.migration.snapshot import Lock

MINIMUM_SAMPLE = 100
"""The least outcomes for a rate."""


class GateVerdict(StrEnum):
    """The verdict of a gate."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    NOT_ENOUGH = "not enough data"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate and its verdict."""

    name: GateName
    required: str
    measured: str
    verdict: GateVerdict
    sample: int | None = None
    missing: Missing | None = None
    """What is missing, and how long that takes at the measured rate."""

    @property
    def open(self) -> bool:
        """Whether the gate allows the move."""
        return self.verdict in (GateVerdict.PASS, GateVerdict.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures of the target since the present percentage began."""

    accepted: int = 0
    errors: int = 0
    p95_ms: float | None = None
    delivered: int = 0
    judged: int = 0
    """Accepted attempts that reached the delivery age."""
    gives_reports: bool = True
    legacy_gives_reports: bool = True
    """Whether delivery reports can come. Without them, there is no delivery rate."""
    per_s: float = 0.0
    """Recent outcomes per second; 0: none come."""
    account_ok: bool = False
    account_reason: str = "not asked yet"
    evidence: Evidence | None = None
    """The monitor's evidence about this share; None: it made no tick lately."""

    @property
    def outcomes(self) -> int:
        """The sample of the rates: accepted and errors."""
        return self.accepted + self.errors


def lock_gate(lock: Lock | None, now: datetime) -> Gate:
    """The gate for the lock: no lock is in force."""
    if lock is None or not lock.holds(now):
        return Gate(GateName.LOCK, "none", "none", GateVerdict.PASS)
    left = None if lock.until is None else (lock.until - now).total_seconds()
    unlock = missing.only_words("an administrator lifts it with `unlock`", left)
    return Gate(GateName.LOCK, "none", lock.reason, GateVerdict.FAIL, missing=unlock)


def account_gate(measures: Measures) -> Gate:
    """The gate for the account: the target's account call succeeds."""
    verdict = GateVerdict.PASS if measures.account_ok else GateVerdict.FAIL
    return Gate(GateName.ACCOUNT, "the account call succeeds", measures.account_reason, verdict)


def time_gate(since: datetime | None, now: datetime, minimum: timedelta) -> Gate:
    """The gate for the minimum time at the present percentage."""
    required = f"{minimum.total_seconds() / 60:g} min at the present percentage"
    if since is None:
        return Gate(GateName.TIME, required, "not known", GateVerdict.NOT_ENOUGH)
    passed = now - since
    measured = f"{passed.total_seconds() / 60:.1f} min"
    if passed >= minimum:
        return Gate(GateName.TIME, required, measured, GateVerdict.PASS)
    left = missing.time_left((minimum - passed).total_seconds())
    return Gate(GateName.TIME, required, measured, GateVerdict.FAIL, missing=left)


def requirement_gates(
    wanted: Requirements, measures: Measures, minimum: int = MINIMUM_SAMPLE
) -> tuple[Gate, ...]:
    """The gates for success, errors, response and delivery, each with a minimum of outcomes."""
    success = _rate(measures.accepted, measures.outcomes)
    errors = _rate(measures.errors, measures.outcomes)
    return (
        _sampled(
            GateName.SUCCESS, f">= {wanted.min_success_rate:g} %", success, measures.outcomes,
            measures, minimum,
            good=success is not None and success >= wanted.min_success_rate,
        ),
        _sampled(
            GateName.ERRORS, f"<= {wanted.max_error_rate:g} %", errors, measures.outcomes,
            measures, minimum,
            good=errors is not None and errors <= wanted.max_error_rate,
        ),
        _response(wanted, measures, minimum),
        _delivery(wanted, measures, minimum),
    )  # fmt: skip


def _response(wanted: Requirements, measures: Measures, minimum: int) -> Gate:
    required = f"p95 <= {wanted.max_p95_ms / 1000:g} s"
    value = measures.p95_ms
    measured = "nothing" if value is None else f"{value / 1000:.2f} s"
    if value is None or measures.accepted < minimum:
        left = missing.counted(max(minimum - measures.accepted, 0), measures.per_s)
        return Gate(
            GateName.RESPONSE,
            required,
            measured,
            GateVerdict.NOT_ENOUGH,
            measures.accepted,
            left,
        )
    verdict = GateVerdict.PASS if value <= wanted.max_p95_ms else GateVerdict.FAIL
    return Gate(GateName.RESPONSE, required, measured, verdict, measures.accepted)


def _delivery(wanted: Requirements, measures: Measures, minimum: int) -> Gate:
    required = f">= {wanted.min_delivery_rate:g} % delivered"
    if not measures.gives_reports:
        return Gate(GateName.DELIVERY, required, "no reports", GateVerdict.NOT_APPLICABLE)
    rate = _rate(measures.delivered, measures.judged)
    good = rate is not None and rate >= wanted.min_delivery_rate
    return _sampled(
        GateName.DELIVERY, required, rate, measures.judged, measures, minimum, good=good
    )


def _sampled(  # noqa: PLR0917 - one row of the table
    name: GateName,
    required: str,
    rate: float | None,
    sample: int,
    measures: Measures,
    minimum: int,
    *,
    good: bool,
) -> Gate:
    measured = "nothing" if rate is None else f"{rate:.2f} %"
    if sample < minimum:
        left = missing.counted(minimum - sample, measures.per_s)
        return Gate(name, required, measured, GateVerdict.NOT_ENOUGH, sample, left)
    return Gate(name, required, measured, GateVerdict.PASS if good else GateVerdict.FAIL, sample)


def _rate(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None
