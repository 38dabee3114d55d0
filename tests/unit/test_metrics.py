"""What counts as what, exactly once, in every scope."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.metrics import DURATION_BOUNDS_MS, ProviderMetric
from worker.domain.outcome import (
    Accepted,
    Blame,
    Money,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.domain.periods import SLOT_S, SPANS
from worker.ports import Measured
from worker.service import Background
from worker.telemetry import metrics
from worker.telemetry.metrics import Book, DayRow
from worker.telemetry.publisher import MetricsPublisher
from worker.telemetry.tally import COUNTERS, Tally, percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.telemetry.slots import SlotRow

START = datetime(2026, 3, 1, 12, 0, 3, tzinfo=UTC)
SLOT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

ACCEPTED = Accepted("id")
REFUSED = Refused("403", "invalid number")
NOT_SENT = {blame: NotSent(blame, "x", "y") for blame in Blame}
UNKNOWN = Unknown("read_timeout", "silence")


class Time:
    """A clock that stands."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def book(time: Time) -> Book:
    return Book(time, ["target", "legacy"], slow_ms=3_000)


def measured(outcome: Outcome = ACCEPTED, to: str = "a", **changes: object) -> Measured:
    plain = Measured(
        provider="target",
        outcome=outcome,
        duration_ms=120.0,
        lane="bulk",
        message_type="Standard",
        branch_id=None,
        segments=1,
        cost=None,
        eligible=True,
        recipient_hash=to,
        fallback=False,
    )
    return replace(plain, **changes)


FAILED = {"eligible_failed": 1, "distinct_failed": 1}


def counts(tally: Tally) -> dict[str, int | Decimal]:
    """Everything but latency."""
    return {
        name: count
        for name, count in tally.counts().items()
        if not name.startswith("latency") and name != "duration_us"
    }


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (ACCEPTED, {"accepted": 1, "segments": 1, "unpriced": 1, "eligible_ok": 1}),
        (REFUSED, {"refused": 1}),
        (NOT_SENT[Blame.PROVIDER], {"not_sent_provider": 1, **FAILED}),
        (NOT_SENT[Blame.ACCOUNT], {"not_sent_account": 1, **FAILED}),
        (NOT_SENT[Blame.RECIPIENT], {"not_sent_recipient": 1}),
        (UNKNOWN, {"unknown": 1, **FAILED}),
    ],
)
def test_outcome_counts_as(book: Book, outcome: Outcome, expected: dict[str, int]) -> None:
    book.attempt(measured(outcome))
    assert counts(book.total("target")) == expected


def test_skipped_counts_as_an_error_and_as_failed(book: Book) -> None:
    book.skipped("target", eligible=True, recipient_hash="a")
    total = book.total("target")
    assert counts(total) == {"skipped": 1, **FAILED}
    assert total.errors == 1


def test_one_number_is_one_failure_an_hour_whatever_it_was_tried_for(book: Book) -> None:
    for _ in range(5):
        book.attempt(measured(UNKNOWN, eligible=False, recipient_hash="a"))
        book.skipped("target", eligible=False, recipient_hash="a")
        book.judged("target", delivered=False, eligible=True, recipient_hash="a")
        book.judged("target", delivered=False, eligible=True, recipient_hash="a", reported=False)
    total = book.total("target")
    assert (total.distinct_failed, total.eligible_undelivered, total.undelivered) == (1, 1, 10)
    assert total.eligible_unreported == 0


def test_a_validation_message_passed_over_counts_apart(book: Book) -> None:
    book.skipped("target", eligible=False, recipient_hash="a", probe=True)
    assert counts(book.total("target")) == {"probe_errors": 1}


@pytest.mark.parametrize(
    ("outcome", "errors"),
    [
        (ACCEPTED, 0),
        (REFUSED, 0),
        (NOT_SENT[Blame.RECIPIENT], 0),
        (NOT_SENT[Blame.PROVIDER], 1),
        (NOT_SENT[Blame.ACCOUNT], 1),
        (UNKNOWN, 1),
    ],
)
def test_outcome_is_an_error(book: Book, outcome: Outcome, errors: int) -> None:
    book.attempt(measured(outcome))
    assert book.total("target").errors == errors


def test_ineligible_attempt_is_no_evidence(book: Book) -> None:
    book.attempt(measured(eligible=False))
    book.attempt(measured(UNKNOWN, eligible=False))
    book.skipped("target", eligible=False, recipient_hash="a")
    assert counts(book.total("target")) == {
        "accepted": 1,
        "segments": 1,
        "unpriced": 1,
        "unknown": 1,
        "skipped": 1,
        "distinct_failed": 1,
    }


def test_judgement_counts_delivery(book: Book) -> None:
    book.judged("target", delivered=True, eligible=True, recipient_hash="r1")
    book.judged("target", delivered=False, eligible=True, recipient_hash="r2")
    book.judged("target", delivered=False, eligible=False, recipient_hash="r3")
    assert counts(book.total("target")) == {
        "delivered": 1,
        "undelivered": 2,
        "eligible_delivered": 1,
        "eligible_undelivered": 1,
    }


def test_no_report_at_all_is_told_from_a_failed_one(book: Book) -> None:
    book.judged("target", delivered=False, eligible=True, reported=True, recipient_hash="r4")
    book.judged("target", delivered=False, eligible=True, reported=False, recipient_hash="r5")
    book.judged("target", delivered=False, eligible=False, reported=False, recipient_hash="r6")
    total = book.total("target")
    assert (total.undelivered, total.eligible_undelivered, total.eligible_unreported) == (3, 2, 1)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (ACCEPTED, {"probe_accepted": 1}),
        (UNKNOWN, {"probe_errors": 1}),
        (NOT_SENT[Blame.ACCOUNT], {"probe_errors": 1}),
        (REFUSED, {}),
    ],
)
def test_validation_message_counts_apart(
    book: Book, outcome: Outcome, expected: dict[str, int]
) -> None:
    book.attempt(measured(outcome, eligible=False, probe=True, fallback=True))
    assert book.total("target").counts() == expected


def test_validation_message_is_judged_apart(book: Book) -> None:
    book.judged("target", delivered=True, eligible=False, probe=True, recipient_hash="r7")
    book.judged("target", delivered=False, eligible=False, probe=True, recipient_hash="r8")
    assert counts(book.total("target")) == {"probe_delivered": 1, "probe_undelivered": 1}


def test_validation_message_costs_in_its_day(book: Book) -> None:
    cost = Money(Decimal("0.5"), "ZMW")
    probe = {"message_type": "Validation", "probe": True, "eligible": False}
    book.attempt(measured(cost=cost, segments=2, **probe))
    (row,) = book.take().days
    assert (row.message_type, row.counts["segments"], row.counts["cost:ZMW"]) == (
        "Validation", 2, Decimal("0.5"),
    )  # fmt: skip
    assert book.total("target").cost == {}


def test_accepted_of_unknown_price_are_counted(book: Book) -> None:
    book.attempt(measured())
    book.attempt(measured(cost=Money(Decimal(0), "ZMW")))
    book.attempt(measured(UNKNOWN))
    assert (book.total("target").accepted, book.total("target").unpriced) == (2, 1)


def test_fallback_is_counted(book: Book) -> None:
    book.attempt(measured(fallback=True))
    assert book.total("target").fallback == 1


def test_recipient_fails_once_an_hour(book: Book, time: Time) -> None:
    for _ in range(5):
        book.attempt(measured(UNKNOWN))
        book.skipped("target", eligible=True, recipient_hash="a")
    assert book.total("target").eligible_failed == 1
    assert book.total("target").errors == 10
    time.pass_by(3_600)
    book.attempt(measured(UNKNOWN))
    assert book.total("target").eligible_failed == 2


def test_recipients_fail_apart_and_providers_too(book: Book) -> None:
    book.attempt(measured(UNKNOWN, "a"))
    book.attempt(measured(UNKNOWN, "b"))
    book.attempt(measured(UNKNOWN, "a", provider="legacy"))
    assert book.total("target").eligible_failed == 2
    assert book.total("legacy").eligible_failed == 1


def test_too_many_recipients_to_remember_all_count(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_REMEMBERED", 2)
    for to in "abcc":
        book.attempt(measured(UNKNOWN, to))
    assert book.total("target").eligible_failed == 4
    assert len(book._hour._seen) == 2


def test_slow_is_slower_than_the_limit(book: Book) -> None:
    book.attempt(measured(duration_ms=3_000.0, to="a"))
    book.attempt(measured(duration_ms=3_000.1, to="b"))
    total = book.total("target")
    assert (total.eligible_ok, total.eligible_slow) == (2, 1)


def test_slow_limit_may_be_changed(book: Book) -> None:
    book.slow_ms = 100
    book.attempt(measured())
    assert book.total("target").eligible_slow == 1


def test_providers_count_of_segments_wins_over_ours(book: Book) -> None:
    book.attempt(measured(Accepted("id", parts=3)))
    assert book.total("target").segments == 3


def test_costs_add_up_exactly_by_currency(book: Book) -> None:
    for _ in range(3):
        book.attempt(measured(Accepted("id", cost=Money(Decimal("0.1"), "ZMW"))))
    book.attempt(measured(Accepted("id"), cost=Money(Decimal("0.8000"), "KES")))
    assert book.total("target").cost == {"ZMW": Decimal("0.3"), "KES": Decimal("0.8000")}


@pytest.mark.parametrize("currency", ["", "$", "a.b", "zmw", "ZMWW", "ŻMW"])
def test_currency_that_is_none_is_no_field_name(book: Book, currency: str) -> None:
    book.attempt(measured(cost=Money(Decimal(1), currency)))
    assert book.total("target").cost == {"XXX": Decimal(1)}


def test_delta_is_what_came_since_the_last(book: Book) -> None:
    book.attempt(measured())
    assert book.delta("target").accepted == 1
    assert book.delta("target").counts() == {}
    book.attempt(measured())
    book.attempt(measured())
    assert (book.delta("target").accepted, book.total("target").accepted) == (2, 3)


def test_every_configured_provider_is_reported_from_the_start(book: Book) -> None:
    assert book.providers == ("target", "legacy")
    assert book.total("legacy").counts() == {}


def test_mean_is_over_accepted_calls_alone(book: Book) -> None:
    book.attempt(measured(duration_ms=100.0))
    book.attempt(measured(duration_ms=200.0))
    book.attempt(measured(UNKNOWN, duration_ms=30_000.0))
    assert book.total("target").mean_ms == 150.0


def test_response_times_without_calls_are_none_and_not_zero() -> None:
    assert (Tally().mean_ms, Tally().p95_ms) == (None, None)


@given(st.lists(st.floats(0.1, 100_000), min_size=1, max_size=60))
def test_percentile_is_the_smallest_bound_that_enough_calls_kept(durations: list[float]) -> None:
    book = Book(Time(), ["target"], slow_ms=1)
    for duration in durations:
        book.attempt(measured(duration_ms=duration))
    found = book.total("target").p95_ms

    def kept(bound: float) -> bool:
        return sum(d <= bound for d in durations) >= 0.95 * len(durations)

    assert found == next((bound for bound in DURATION_BOUNDS_MS if kept(bound)), float("inf"))


@pytest.mark.parametrize("limit", [2_000, 3_000, 5_000])
def test_limits_of_the_gates_are_bounds(limit: int) -> None:
    assert limit in DURATION_BOUNDS_MS


def test_percentile_beyond_the_last_bound_is_infinite() -> None:
    assert percentile([*[0] * len(DURATION_BOUNDS_MS), 1], 0.95) == float("inf")


@given(st.dictionaries(st.sampled_from(COUNTERS), st.integers(1, 10**12)))
def test_stored_counts_read_back_the_same(sums: dict[str, int]) -> None:
    tally = Tally.of(sums | {"latency:3": 7, "cost:ZMW": Decimal("1.5")})
    assert Tally.of(tally.counts()).counts() == tally.counts()
    assert counts(tally) | {"duration_us": 0} == {
        "duration_us": 0,
        **{k: v for k, v in sums.items() if k != "duration_us"},
        "cost:ZMW": Decimal("1.5"),
    }


def test_sum_and_difference_undo_each_other(book: Book) -> None:
    book.attempt(measured(cost=Money(Decimal("0.1"), "ZMW")))
    first = book.total("target")
    book.attempt(measured(UNKNOWN))
    total = book.total("target")
    assert first.plus(total.since(first)).counts() == total.counts()


def slots(book: Book) -> dict[tuple[str, datetime], int | Decimal]:
    """Accepted in the slots of 10 s."""
    rows = [row for row in book.take().slots if row.span == SLOT_S]
    return {(row.provider, row.at): row.counts.get("accepted", 0) for row in rows}


def test_slot_is_cumulative_and_taken_only_when_changed(book: Book) -> None:
    book.attempt(measured())
    assert slots(book) == {("target", SLOT): 1}
    assert slots(book) == {}
    book.attempt(measured())
    assert slots(book) == {("target", SLOT): 2}


def test_ten_seconds_later_is_another_slot(book: Book, time: Time) -> None:
    book.attempt(measured())
    time.pass_by(7)
    book.attempt(measured())
    assert slots(book) == {("target", SLOT): 1, ("target", SLOT + timedelta(seconds=10)): 1}


def test_rows_put_back_are_taken_again_as_they_stand_then(book: Book) -> None:
    book.attempt(measured())
    book.put_back(book.take())
    book.attempt(measured())
    changes = book.take()
    assert [row.counts["accepted"] for row in changes.slots] == [2] * len(SPANS)
    assert [row.counts["accepted"] for row in changes.days] == [2]


def test_stored_slot_and_day_are_forgotten_once_over(book: Book, time: Time) -> None:
    book.attempt(measured())
    book.take()
    time.pass_by(86_400)
    book.take()
    assert (book._slots._closed, book._slots._dirty, book._days) == ({}, set(), {})


def test_slot_not_stored_yet_is_kept_however_old(book: Book, time: Time) -> None:
    book.attempt(measured())
    changes = book.take()
    book.put_back(changes)
    time.pass_by(86_400)
    assert slots(book) == {("target", SLOT): 1}


def test_clock_that_goes_back_does_not_begin_a_slot_again(book: Book, time: Time) -> None:
    time.pass_by(30)
    book.attempt(measured())
    time.pass_by(-30)
    book.attempt(measured())
    assert slots(book) == {("target", SLOT + timedelta(seconds=30)): 2}


def test_take_is_limited(book: Book) -> None:
    for branch in range(5):
        book.attempt(measured(branch_id=branch))
    taken = [len(book.take(limit=2).days) for _ in range(4)]
    assert taken == [2, 2, 1, 0]


def test_day_sums_by_branch_and_type(book: Book) -> None:
    cost = Money(Decimal("0.5"), "ZMW")
    book.attempt(measured(branch_id=7, cost=cost))
    book.attempt(measured(branch_id=7, cost=cost, segments=2))
    book.attempt(measured(UNKNOWN, branch_id=7))
    book.attempt(measured(branch_id=7, message_type="Otp"))
    days = {(row.branch_id, row.message_type): row for row in book.take().days}
    assert days[7, "Standard"].day == date(2026, 3, 1)
    assert days[7, "Standard"].counts == {
        "accepted": 2,
        "errors": 1,
        "segments": 3,
        "cost:ZMW": Decimal("1.0"),
    }
    assert days[7, "Otp"].counts["accepted"] == 1


def test_rows_of_a_day_are_bounded_and_nothing_is_lost(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_ROWS_A_DAY", 3)
    for branch in range(10):
        book.attempt(measured(branch_id=branch))
    days = book.take().days
    assert len(days) == 4
    assert sum(row.counts["accepted"] for row in days) == 10


class Wire:
    """Records what is handed over."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.metrics: list[ProviderMetric] = []
        self.arrived = asyncio.Event()

    def metric(self, key: str, body: bytes) -> None:
        self.keys.add(key)
        self.metrics.append(ProviderMetric.model_validate_json(body))
        self.arrived.set()


class Shelf:
    """A store that can refuse."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.refusals = refusals
        self.slots: list[SlotRow] = []

    async def write(self, slots: Sequence[SlotRow], _days: Sequence[DayRow]) -> bool:
        self.slots += slots
        self.refusals -= 1
        return self.refusals < 0


@pytest.fixture
def make(book: Book, time: Time) -> Callable[..., MetricsPublisher]:
    def build(wire: Wire, shelf: Shelf, every_s: float = 60.0) -> MetricsPublisher:
        return MetricsPublisher(
            book, wire, shelf, Background(), time, replica="r-1", every_s=every_s
        )

    return build


async def test_every_provider_is_published_with_delta_and_total(
    book: Book, make: Callable[..., MetricsPublisher]
) -> None:
    wire = Wire()
    publisher = make(wire, Shelf())
    book.attempt(measured())
    await publisher.publish()
    await publisher.publish()
    assert wire.keys == {"metric.provider"}
    assert [(m.provider, m.delta.accepted, m.total.accepted) for m in wire.metrics] == [
        ("target", 1, 1),
        ("legacy", 0, 0),
        ("target", 0, 1),
        ("legacy", 0, 0),
    ]


async def test_metric_says_who_when_and_since_when(
    make: Callable[..., MetricsPublisher], time: Time
) -> None:
    wire = Wire()
    publisher = make(wire, Shelf())
    time.pass_by(60)
    await publisher.publish()
    metric = wire.metrics[0]
    assert (metric.replica, metric.since, metric.at) == ("r-1", START, START + timedelta(minutes=1))


async def test_metric_carries_every_sum(book: Book, make: Callable[..., MetricsPublisher]) -> None:
    wire = Wire()
    cost = Money(Decimal("0.8000"), "ZMW")
    book.attempt(measured(cost=cost, duration_ms=120.5))
    book.attempt(measured(NOT_SENT[Blame.ACCOUNT], fallback=True))
    book.judged("target", delivered=True, eligible=True, recipient_hash="r9")
    await make(wire, Shelf()).publish()
    total = wire.metrics[0].total
    assert total.model_dump(exclude_defaults=True, exclude={"histogram"}) == {
        "accepted": 1,
        "not_sent_account": 1,
        "fallback": 1,
        "segments": 1,
        "cost": {"ZMW": Decimal("0.8000")},
        "duration_ms_sum": 120.5,
        "delivered": 1,
    }
    assert total.histogram[DURATION_BOUNDS_MS.index(150)] == 1


async def test_rows_the_store_refused_are_written_again(
    book: Book, make: Callable[..., MetricsPublisher]
) -> None:
    shelf = Shelf(refusals=1)
    publisher = make(Wire(), shelf)
    book.attempt(measured())
    for _ in range(3):
        await publisher.store()
    assert [row.counts["accepted"] for row in shelf.slots] == [1, 1] * len(SPANS)


async def test_started_publisher_ticks(make: Callable[..., MetricsPublisher]) -> None:
    wire = Wire()
    publisher = make(wire, Shelf(), every_s=0.01)
    await publisher.start()
    async with asyncio.timeout(5):
        await wire.arrived.wait()
    await publisher.stop()


async def test_stop_publishes_and_stores_what_is_left(
    book: Book, make: Callable[..., MetricsPublisher]
) -> None:
    wire, shelf = Wire(), Shelf()
    publisher = make(wire, shelf)
    await publisher.start()
    book.attempt(measured())
    await publisher.drain()
    await publisher.stop()
    await publisher.stop()
    assert max(metric.total.accepted for metric in wire.metrics) == 1
    assert {row.span for row in shelf.slots} == set(SPANS)


async def test_stop_is_safe_when_never_started(make: Callable[..., MetricsPublisher]) -> None:
    wire = Wire()
    await make(wire, Shelf()).stop()
    assert wire.metrics == []
