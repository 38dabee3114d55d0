"""From sums to a report: every figure, every issue, and nothing where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from contracts.metrics import DURATION_BOUNDS_MS
from worker.domain.figures.health import Bounds, HealthReport, Subject, bounds_of, report
from worker.domain.figures.rates import Rate
from worker.domain.figures.tally import Tally
from worker.domain.migration.flags import Flags
from worker.domain.migration.phases import Phase, Role
from worker.domain.migration.snapshot import Snapshot

TARGET = Subject("africastalking", Role.TARGET, gives_reports=True)
SILENT = Subject("kannel", Role.LEGACY, gives_reports=False)
BOUNDS = Bounds(5.0, 90.0, 3_000.0, 98.0, 100)
FAST = DURATION_BOUNDS_MS.index(100)
NEVER = "beyond all that is measured"
BEYOND = len(DURATION_BOUNDS_MS)
SLOW = DURATION_BOUNDS_MS.index(5000)


def sums(latency: dict[int, int] | None = None, **counts: int | Decimal) -> Tally:
    """A tally of counters, of costs (`cost_ZMW`) and of calls by bucket."""
    named = {name.replace("_", ":", 1) if "cost" in name else name: n for name, n in counts.items()}
    buckets = {f"latency:{bucket}": calls for bucket, calls in (latency or {}).items()}
    return Tally.of(named | buckets)


def made(
    bounds: Bounds = BOUNDS, subject: Subject = TARGET, **counts: int | Decimal
) -> HealthReport:
    return report(subject, sums(**counts), bounds)


def test_outcomes_are_accepted_and_errors_alone() -> None:
    found = made(
        accepted=90, refused=7, not_sent_recipient=3, not_sent_message=5,
        not_sent_provider=1, not_sent_account=2, unknown=3, skipped=4,
    )  # fmt: skip
    assert (found.figures.success, found.figures.error) == (Rate(90, 100), Rate(10, 100))
    assert found.figures.errors_by_class == {
        "provider": 1,
        "account": 2,
        "unknown": 3,
        "skipped": 4,
    }
    assert (found.attempts, found.accepted, found.refused) == (115, 90, 7)
    assert (found.wrong_recipient, found.wrong_message) == (3, 5)


def test_fallback_is_of_calls_so_without_those_passed_over() -> None:
    assert made(accepted=90, unknown=10, skipped=50, fallback=5).fallback == Rate(5, 100)


def test_response_times_are_percentiles_of_accepted_calls() -> None:
    tally = sums({FAST: 90, SLOW: 10}, accepted=100, duration_us=50_000_000)
    found = report(TARGET, tally, BOUNDS)
    assert (found.figures.p50_ms, found.figures.p95_ms, found.figures.p99_ms) == (
        100.0,
        4541.675,
        5_000.0,
    )
    assert found.figures.mean_ms == 500.0


def test_delivery_is_of_what_was_judged() -> None:
    assert made(accepted=500, delivered=97, undelivered=3).delivery == Rate(97, 100)


def test_delivery_is_not_applicable_without_reports() -> None:
    found = made(subject=SILENT, accepted=200)
    assert found.delivery is None
    assert "delivery rate: not applicable, the provider gives no reports" in found.missing


def test_cost_of_a_delivered_message_is_the_cost_over_the_delivery_rate() -> None:
    price = made(accepted=200, cost_ZMW=Decimal(160), delivered=80, undelivered=20).prices["ZMW"]
    assert (price.total, price.per_message, price.per_delivered) == (160, Decimal("0.8"), 1)


@pytest.mark.parametrize("judged", [{}, {"undelivered": 10}])
def test_cost_of_a_delivered_message_is_not_known_without_deliveries(judged: dict) -> None:
    price = made(accepted=200, cost_ZMW=Decimal(160), **judged).prices["ZMW"]
    assert price.per_delivered is None


def test_messages_of_unknown_price_are_left_out_of_the_cost_and_named() -> None:
    found = made(accepted=200, unpriced=100, cost_ZMW=Decimal(80))
    assert found.prices["ZMW"].per_message == Decimal("0.8")
    assert "cost: no price known for 100 of 200 accepted" in found.missing


def test_costs_are_none_where_no_price_is_known() -> None:
    assert made(accepted=5, unpriced=5).prices == {}


def test_validation_messages_stand_apart() -> None:
    found = made(probe_accepted=9, probe_errors=1, probe_delivered=4, probe_undelivered=5)
    assert (found.attempts, found.figures.success) == (0, Rate(0, 0))
    assert found.validation.success == Rate(9, 10)
    assert found.validation.delivery == Rate(4, 9)


def test_nothing_counted_is_nothing_known() -> None:
    found = made()
    assert (found.figures.success.percent, found.figures.p95_ms, found.figures.mean_ms) == (
        None,
        None,
        None,
    )
    assert (found.delivery, found.prices, found.issues) == (Rate(0, 0), {}, ())
    assert len(found.missing) == 4


@pytest.mark.parametrize(
    ("counts", "issue"),
    [
        (
            {"accepted": 880, "unknown": 120},
            "success rate 88.00 % is below 90 % (MinSuccessRate), of 1000 outcomes",
        ),
        (
            {"accepted": 928, "unknown": 72},
            "error rate 7.20 % is above 5 % (MaxErrorRate), of 1000 outcomes",
        ),
        (
            {"accepted": 200, "latency": {FAST: 180, SLOW: 20}},
            "response p95 5000 ms is above 3000 ms (MaxResponseTimeMs), of 200 accepted calls",
        ),
        (
            {"accepted": 200, "latency": {BEYOND: 200}},
            f"response p95 {NEVER} is above 3000 ms (MaxResponseTimeMs), of 200 accepted calls",
        ),
        (
            {"accepted": 200, "delivered": 97, "undelivered": 3},
            "delivery rate 97.00 % is below 98 % (asked by the phases), of 100 judged",
        ),
    ],
)
def test_what_is_out_of_bounds_is_an_issue(counts: dict, issue: str) -> None:
    assert issue in made(**counts).issues


def test_what_is_just_within_bounds_is_none() -> None:
    found = made(accepted=950, unknown=50, delivered=98, undelivered=2, latency={FAST: 950})
    assert found.issues == ()


def test_fewer_than_the_minimum_of_outcomes_are_not_enough_data_and_no_issue() -> None:
    found = made(accepted=0, unknown=99)
    assert found.issues == ()
    assert "error rate: not enough data (99 of 100 outcomes)" in found.missing


def test_delivery_is_no_issue_where_nothing_is_asked() -> None:
    found = made(replace(BOUNDS, min_delivery_rate=None), accepted=200, undelivered=200)
    assert found.issues == ()


@pytest.mark.parametrize(
    ("phase", "role", "delivery"),
    [
        (Phase.PARALLEL_SETUP, Role.TARGET, 98.0),
        (Phase.GRADUAL_MIGRATION, Role.TARGET, 98.0),
        (Phase.COMPLETE_MIGRATION, Role.TARGET, 99.5),
        (Phase.ROLLBACK, Role.TARGET, None),
        (Phase.GRADUAL_MIGRATION, Role.LEGACY, None),
    ],
)
def test_bounds_are_the_thresholds_and_what_the_phases_ask(
    phase: Phase, role: Role, delivery: float | None
) -> None:
    state = Snapshot(version=1, lineage="l", phase=phase, percentage=0, flags=Flags())
    assert bounds_of(state, role) == Bounds(5.0, 90.0, 5_000.0, delivery, 100)
