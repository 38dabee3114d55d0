"""Target against legacy: differences with their sign, and savings in one currency or none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from contracts.metrics import DURATION_BOUNDS_MS
from worker.domain.figures.comparison import Comparison, Savings, compare
from worker.domain.figures.health import Bounds, HealthReport, Subject, report
from worker.domain.figures.tally import Tally
from worker.domain.migration.phases import Role

BOUNDS = Bounds(5.0, 90.0, 3_000.0, 98.0, 100)
PLAIN = {"accepted": 100, "cost:ZMW": Decimal(80)}


def side(role: Role, counts: dict, *, gives_reports: bool = True) -> HealthReport:
    return report(Subject(role.value, role, gives_reports), Tally.of(counts), BOUNDS)


def compared(target: dict, legacy: dict, *, legacy_reports: bool = True) -> Comparison:
    ours = side(Role.TARGET, target)
    return compare(ours, side(Role.LEGACY, legacy, gives_reports=legacy_reports))


def test_differences_are_target_minus_legacy() -> None:
    found = compared(
        {"accepted": 98, "unknown": 2, "delivered": 90, "undelivered": 10},
        {"accepted": 95, "unknown": 5, "delivered": 95, "undelivered": 5},
    )
    assert (found.success.points, found.error.points) == pytest.approx((3.0, -3.0))
    assert found.delivery.points == pytest.approx(-5.0)
    assert found.success.low < 0 < found.success.high


def test_times_are_compared_where_both_are_known() -> None:
    quick, slow = (f"latency:{DURATION_BOUNDS_MS.index(bound)}" for bound in (100, 300))
    found = compared(
        {"accepted": 10, quick: 10, "duration_us": 1_000_000},
        {"accepted": 10, slow: 10, "duration_us": 3_000_000},
    )
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.mean_ms) == (-200, -200, -200, -200)


def test_a_time_beyond_what_is_measured_has_no_difference() -> None:
    found = compared({"accepted": 1, f"latency:{len(DURATION_BOUNDS_MS)}": 1}, {"latency:1": 1})
    assert found.p95_ms is None


def test_what_one_side_does_not_know_has_no_difference() -> None:
    found = compared({"accepted": 98, "unknown": 2, "delivered": 9}, {}, legacy_reports=False)
    assert (found.success, found.error, found.delivery) == (None, None, None)
    assert (found.p50_ms, found.mean_ms, found.prices) == (None, None, {})


def test_costs_are_compared_a_message_and_a_delivered_one() -> None:
    judged = {"delivered": 80, "undelivered": 20}
    dear = {"accepted": 100, "cost:ZMW": Decimal(100), "delivered": 50, "undelivered": 50}
    price = compared(PLAIN | judged, dear).prices["ZMW"]
    assert (price.per_message, price.per_delivered) == (Decimal("-0.2"), Decimal(-1))


def test_cost_of_a_delivered_one_has_no_difference_where_a_side_gives_no_reports() -> None:
    found = compared(PLAIN | {"delivered": 9}, PLAIN, legacy_reports=False)
    assert found.prices["ZMW"].per_delivered is None


def test_savings_are_so_far_and_projected_to_all_messages_of_the_period() -> None:
    found = compared(PLAIN, {"accepted": 300, "cost:ZMW": Decimal(300)})
    assert found.savings == Savings("ZMW", 400, Decimal("0.2"), Decimal(80), Decimal(20))
    assert found.savings_unknown is None


def test_a_dearer_target_saves_less_than_nothing() -> None:
    found = compared(PLAIN, {"accepted": 100, "cost:ZMW": Decimal(50)})
    assert (found.savings.actual, found.savings.projected) == (-30, -60)


@pytest.mark.parametrize(
    ("legacy", "reason"),
    [
        ({}, "legacy: no message was accepted in the period"),
        ({"accepted": 3, "unpriced": 3}, "legacy: no price of a message is known"),
        (
            {"accepted": 3, "cost:KES": Decimal(3)},
            "target is paid in ZMW, legacy in KES: there is no exchange rate here",
        ),
        (
            {"accepted": 3, "cost:KES": Decimal(3), "cost:ZMW": Decimal(3)},
            "legacy: paid in more than one currency or in none (KES, ZMW)",
        ),
        (
            {"accepted": 3, "cost:XXX": Decimal(3)},
            "legacy: paid in more than one currency or in none (XXX)",
        ),
    ],
)
def test_savings_that_cannot_be_said_say_why(legacy: dict, reason: str) -> None:
    found = compared(PLAIN, legacy)
    assert (found.savings, found.savings_unknown) == (None, reason)


def test_what_is_in_no_currency_is_not_compared() -> None:
    nowhere = {"accepted": 3, "cost:XXX": Decimal(3)}
    assert compared(nowhere, nowhere).prices == {}
