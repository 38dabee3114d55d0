"""What counts as what, exactly once, in every scope."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.metrics import DURATION_BOUNDS_MS, ProviderMetric
from tests.support.measured import measured as attempt
from tests.support.monitor_fakes import FailedToday
from worker.domain.figures.periods import SLOT_S, SPANS
from worker.domain.figures.tally import COUNTERS, Tally, percentile
from worker.domain.messages.outcome import (
    Accepted,
    Blame,
    Money,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.service import Background
from worker.telemetry import metrics, recipients
from worker.telemetry.metrics import AttemptMetrics, DayRow
from worker.telemetry.publisher import MetricsPublisher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.domain.figures.tally import Measured
    from worker.telemetry.cohorts import CohortRow
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
def book(time: Time) -> AttemptMetrics:
    return AttemptMetrics(time, ["target", "legacy"], slow_ms=3_000)


def measured(outcome: Outcome = ACCEPTED, to: str = "a", **changes: object) -> Measured:
    return attempt(outcome, **{"recipient_hash": to, **changes})


def total(
    book: AttemptMetrics, provider: str = "target", store: FailedToday | None = None
) -> Tally:
    """Sums, once the store has said whose failure is the first of the day."""
    (store or FailedToday()).answer(book)
    return book.total(provider)


FAILED = {"eligible_failed": 1, "distinct_failed": 1}
NOBODYS = {"eligible_refused": 1}


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
        (REFUSED, {"refused": 1, **NOBODYS}),
        (NOT_SENT[Blame.PROVIDER], {"not_sent_provider": 1, **FAILED}),
        (NOT_SENT[Blame.ACCOUNT], {"not_sent_account": 1, **FAILED}),
        (NOT_SENT[Blame.RECIPIENT], {"not_sent_recipient": 1, **NOBODYS}),
        (NOT_SENT[Blame.MESSAGE], {"not_sent_message": 1, **NOBODYS}),
        (UNKNOWN, {"unknown": 1, **FAILED}),
    ],
)
def test_outcome_counts_as(
    book: AttemptMetrics, outcome: Outcome, expected: dict[str, int]
) -> None:
    book.attempt(measured(outcome))
    assert counts(total(book)) == expected


def test_skipped_counts_as_an_error_and_as_failed(book: AttemptMetrics) -> None:
    book.skipped("target", eligible=True, lane="bulk", recipient_hash="a")
    found = total(book)
    assert counts(found) == {"skipped": 1, **FAILED}
    assert found.errors == 1


def test_one_number_is_one_failure_a_day_whatever_it_was_tried_for(book: AttemptMetrics) -> None:
    for _ in range(5):
        book.attempt(measured(UNKNOWN, eligible=False, recipient_hash="a"))
        book.skipped("target", eligible=False, lane="bulk", recipient_hash="a")
        book.judged("target", delivered=False, eligible=True, recipient_hash="a")
        book.judged("target", delivered=False, eligible=True, recipient_hash="a", reported=False)
    found = total(book)
    assert (found.distinct_failed, found.eligible_undelivered, found.undelivered) == (1, 1, 10)
    assert found.eligible_unreported == 0


def test_a_validation_message_passed_over_counts_apart(book: AttemptMetrics) -> None:
    book.skipped("target", eligible=False, lane="bulk", recipient_hash="a", probe=True)
    assert counts(book.total("target")) == {"probe_errors": 1}


@pytest.mark.parametrize(
    ("outcome", "errors"),
    [
        (ACCEPTED, 0),
        (REFUSED, 0),
        (NOT_SENT[Blame.RECIPIENT], 0),
        (NOT_SENT[Blame.MESSAGE], 0),
        (NOT_SENT[Blame.PROVIDER], 1),
        (NOT_SENT[Blame.ACCOUNT], 1),
        (UNKNOWN, 1),
    ],
)
def test_outcome_is_an_error(book: AttemptMetrics, outcome: Outcome, errors: int) -> None:
    book.attempt(measured(outcome))
    assert book.total("target").errors == errors


def test_ineligible_attempt_is_no_evidence(book: AttemptMetrics) -> None:
    book.attempt(measured(eligible=False))
    book.attempt(measured(UNKNOWN, eligible=False))
    book.skipped("target", eligible=False, lane="bulk", recipient_hash="a")
    assert counts(total(book)) == {
        "accepted": 1,
        "segments": 1,
        "unpriced": 1,
        "unknown": 1,
        "skipped": 1,
        "distinct_failed": 1,
    }


def test_judgement_counts_delivery(book: AttemptMetrics) -> None:
    book.judged("target", delivered=True, eligible=True, recipient_hash="r1")
    book.judged("target", delivered=False, eligible=True, recipient_hash="r2")
    book.judged("target", delivered=False, eligible=False, recipient_hash="r3")
    assert counts(total(book)) == {
        "delivered": 1,
        "undelivered": 2,
        "eligible_delivered": 1,
        "eligible_undelivered": 1,
    }


def test_no_report_at_all_is_told_from_a_failed_one(book: AttemptMetrics) -> None:
    book.judged("target", delivered=False, eligible=True, reported=True, recipient_hash="r4")
    book.judged("target", delivered=False, eligible=True, reported=False, recipient_hash="r5")
    book.judged("target", delivered=False, eligible=False, reported=False, recipient_hash="r6")
    found = total(book)
    assert (found.undelivered, found.eligible_undelivered, found.eligible_unreported) == (3, 2, 1)


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
    book: AttemptMetrics, outcome: Outcome, expected: dict[str, int]
) -> None:
    book.attempt(measured(outcome, eligible=False, probe=True, fallback=True))
    assert book.total("target").counts() == expected


def test_validation_message_is_judged_apart(book: AttemptMetrics) -> None:
    book.judged("target", delivered=True, eligible=False, probe=True, recipient_hash="r7")
    book.judged("target", delivered=False, eligible=False, probe=True, recipient_hash="r8")
    assert counts(book.total("target")) == {"probe_delivered": 1, "probe_undelivered": 1}


def test_validation_message_costs_in_its_day(book: AttemptMetrics) -> None:
    cost = Money(Decimal("0.5"), "ZMW")
    probe = {"message_type": "Validation", "probe": True, "eligible": False}
    book.attempt(measured(cost=cost, segments=2, **probe))
    (row,) = book.take().days
    assert (row.message_type, row.counts["segments"], row.counts["cost:ZMW"]) == (
        "Validation", 2, Decimal("0.5"),
    )  # fmt: skip
    assert book.total("target").cost == {}


def test_accepted_of_unknown_price_are_counted(book: AttemptMetrics) -> None:
    book.attempt(measured())
    book.attempt(measured(cost=Money(Decimal(0), "ZMW")))
    book.attempt(measured(UNKNOWN))
    assert (book.total("target").accepted, book.total("target").unpriced) == (2, 1)


def test_fallback_is_counted(book: AttemptMetrics) -> None:
    book.attempt(measured(fallback=True))
    assert book.total("target").fallback == 1


def test_recipient_fails_once_a_day_of_utc(book: AttemptMetrics, time: Time) -> None:
    store = FailedToday()
    for hours in (0, 1, 11.99):
        time.at = START + timedelta(hours=hours)
        book.attempt(measured(UNKNOWN))
        book.skipped("target", eligible=True, lane="bulk", recipient_hash="a")
        assert total(book, store=store).eligible_failed == 1
    assert book.total("target").errors == 6
    time.at = START + timedelta(hours=12)
    book.attempt(measured(UNKNOWN))
    assert total(book, store=store).eligible_failed == 2


def test_recipients_fail_apart_and_providers_too(book: AttemptMetrics) -> None:
    book.attempt(measured(UNKNOWN, "a"))
    book.attempt(measured(UNKNOWN, "b"))
    book.attempt(measured(UNKNOWN, "a", provider="legacy"))
    assert total(book).eligible_failed == 2
    assert book.total("legacy").eligible_failed == 1


def test_what_failed_at_one_replica_before_or_at_another_does_not_count_again(time: Time) -> None:
    store = FailedToday()
    replicas = [AttemptMetrics(time, ["target"], slow_ms=3_000) for _ in range(3)]
    for book in (*replicas, AttemptMetrics(time, ["target"], slow_ms=3_000)):
        book.attempt(measured(UNKNOWN))
        book.attempt(measured(duration_ms=3_000.1))
        book.judged("target", delivered=False, eligible=True, recipient_hash="a")
        total(book, store=store)
    sums = [total(book, store=store) for book in replicas]
    for name in ("eligible_failed", "distinct_failed", "eligible_slow", "eligible_undelivered"):
        assert [getattr(each, name) for each in sums] == [1, 0, 0]


def test_while_the_store_is_away_failures_do_not_count_and_later_ones_do(
    book: AttemptMetrics,
) -> None:
    store = FailedToday()
    store.away = True
    book.attempt(measured(UNKNOWN))
    assert total(book, store=store).eligible_failed == 0
    store.away = False
    assert total(book, store=store).eligible_failed == 0
    book.attempt(measured(UNKNOWN))
    assert total(book, store=store).eligible_failed == 1
    assert book.total("target").unknown == 2


def test_nothing_is_asked_while_all_is_well_nor_twice(book: AttemptMetrics) -> None:
    book.attempt(measured())
    book.attempt(measured(REFUSED))
    book.judged("target", delivered=True, eligible=True, recipient_hash="a")
    assert book.asked() == []
    for _ in range(3):
        book.attempt(measured(UNKNOWN))
    assert len(book.asked()) == 1
    book.attempt(measured(UNKNOWN))
    assert book.asked() == []


def test_recipients_beyond_what_is_remembered_are_asked_again_and_count_once(
    book: AttemptMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipients, "MAX_REMEMBERED", 2)
    for to in "abcc":
        book.attempt(measured(UNKNOWN, to))
    assert total(book).eligible_failed == 3
    assert len(book._recipients._seen) == 2


def test_failures_beyond_what_may_wait_do_not_count(
    book: AttemptMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipients, "MAX_WAITING", 2)
    for to in "abc":
        book.attempt(measured(UNKNOWN, to))
    assert total(book).eligible_failed == 2
    assert book.total("target").unknown == 3


def test_slow_is_slower_than_the_limit(book: AttemptMetrics) -> None:
    book.attempt(measured(duration_ms=3_000.0, to="a"))
    book.attempt(measured(duration_ms=3_000.1, to="b"))
    found = total(book)
    assert (found.eligible_ok, found.eligible_slow) == (2, 1)


def test_slow_limit_may_be_changed(book: AttemptMetrics) -> None:
    book.slow_ms = 100
    book.attempt(measured())
    assert total(book).eligible_slow == 1


def test_providers_count_of_segments_wins_over_ours(book: AttemptMetrics) -> None:
    book.attempt(measured(Accepted("id", parts=3)))
    assert book.total("target").segments == 3


def test_costs_add_up_exactly_by_currency(book: AttemptMetrics) -> None:
    for _ in range(3):
        book.attempt(measured(Accepted("id", cost=Money(Decimal("0.1"), "ZMW"))))
    book.attempt(measured(Accepted("id"), cost=Money(Decimal("0.8000"), "KES")))
    assert book.total("target").cost == {"ZMW": Decimal("0.3"), "KES": Decimal("0.8000")}


@pytest.mark.parametrize("currency", ["", "$", "a.b", "zmw", "ZMWW", "ŻMW"])
def test_currency_that_is_none_is_no_field_name(book: AttemptMetrics, currency: str) -> None:
    book.attempt(measured(cost=Money(Decimal(1), currency)))
    assert book.total("target").cost == {"XXX": Decimal(1)}


def test_delta_is_what_came_since_the_last(book: AttemptMetrics) -> None:
    book.attempt(measured())
    assert book.delta("target").accepted == 1
    assert book.delta("target").counts() == {}
    book.attempt(measured())
    book.attempt(measured())
    assert (book.delta("target").accepted, book.total("target").accepted) == (2, 3)


def test_every_configured_provider_is_reported_from_the_start(book: AttemptMetrics) -> None:
    assert book.providers == ("target", "legacy")
    assert book.total("legacy").counts() == {}


def test_mean_is_over_accepted_calls_alone(book: AttemptMetrics) -> None:
    book.attempt(measured(duration_ms=100.0))
    book.attempt(measured(duration_ms=200.0))
    book.attempt(measured(UNKNOWN, duration_ms=30_000.0))
    assert book.total("target").mean_ms == 150.0


def test_response_times_without_calls_are_none_and_not_zero() -> None:
    assert (Tally().mean_ms, Tally().p95_ms) == (None, None)


@given(st.lists(st.floats(0.1, 100_000), min_size=1, max_size=60))
def test_a_percentile_is_on_the_same_side_of_every_bound_as_the_true_one(
    durations: list[float],
) -> None:
    book = AttemptMetrics(Time(), ["target"], slow_ms=1)
    for duration in durations:
        book.attempt(measured(duration_ms=duration))
    for share in (0.5, 0.95, 0.99, 1.0):
        true = sorted(durations)[math.ceil(share * len(durations) - 1e-9) - 1]
        found = book.total("target").percentile_ms(share)
        assert found is not None
        assert found >= true - 1e-6
        assert all((found <= bound) == (true <= bound) for bound in DURATION_BOUNDS_MS)


@pytest.mark.parametrize("duration", [2.5, 10.0, 26.0, 31_000.0])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_every_percentile_of_one_call_is_its_own_time(duration: float, share: float) -> None:
    book = AttemptMetrics(Time(), ["target"], slow_ms=1)
    book.attempt(measured(duration_ms=duration))
    assert book.total("target").percentile_ms(share) == pytest.approx(duration, abs=0.001)


@given(st.lists(st.floats(0.1, 9.9), min_size=1, max_size=60))
def test_half_of_all_quick_calls_never_take_twice_the_mean(durations: list[float]) -> None:
    book = AttemptMetrics(Time(), ["target"], slow_ms=1)
    for duration in durations:
        book.attempt(measured(duration_ms=duration))
    total = book.total("target")
    assert total.percentile_ms(0.5) <= 2 * total.mean_ms + 0.01


@pytest.mark.parametrize("limit", [2_000, 3_000, 5_000])
def test_limits_of_the_gates_are_bounds(limit: int) -> None:
    assert limit in DURATION_BOUNDS_MS


def test_percentile_beyond_the_last_bound_is_infinite() -> None:
    assert percentile([*[0] * len(DURATION_BOUNDS_MS), 1], 0.95) == float("inf")


def test_a_total_that_belongs_to_other_calls_tells_nothing() -> None:
    assert percentile([0, 0, 1, *[0] * (len(DURATION_BOUNDS_MS) - 2)], 0.95, 3.0) == 50.0


@given(st.dictionaries(st.sampled_from(COUNTERS), st.integers(1, 10**12)))
def test_stored_counts_read_back_the_same(sums: dict[str, int]) -> None:
    tally = Tally.of(sums | {"latency:3": 7, "cost:ZMW": Decimal("1.5")})
    assert Tally.of(tally.counts()).counts() == tally.counts()
    assert counts(tally) | {"duration_us": 0} == {
        "duration_us": 0,
        **{k: v for k, v in sums.items() if k != "duration_us"},
        "cost:ZMW": Decimal("1.5"),
    }


def test_sum_and_difference_undo_each_other(book: AttemptMetrics) -> None:
    book.attempt(measured(cost=Money(Decimal("0.1"), "ZMW")))
    first = book.total("target")
    book.attempt(measured(UNKNOWN))
    total = book.total("target")
    assert first.plus(total.since(first)).counts() == total.counts()


def slots(book: AttemptMetrics) -> dict[tuple[str, datetime], int | Decimal]:
    """Accepted in the slots of 10 s."""
    rows = [row for row in book.take().slots if row.span == SLOT_S]
    return {(row.provider, row.at): row.counts.get("accepted", 0) for row in rows}


def test_slot_is_cumulative_and_taken_only_when_changed(book: AttemptMetrics) -> None:
    book.attempt(measured())
    assert slots(book) == {("target", SLOT): 1}
    assert slots(book) == {}
    book.attempt(measured())
    assert slots(book) == {("target", SLOT): 2}


def test_ten_seconds_later_is_another_slot(book: AttemptMetrics, time: Time) -> None:
    book.attempt(measured())
    time.pass_by(7)
    book.attempt(measured())
    assert slots(book) == {("target", SLOT): 1, ("target", SLOT + timedelta(seconds=10)): 1}


def test_rows_put_back_are_taken_again_as_they_stand_then(book: AttemptMetrics) -> None:
    book.attempt(measured())
    book.put_back(book.take())
    book.attempt(measured())
    changes = book.take()
    assert [row.counts["accepted"] for row in changes.slots] == [2] * len(SPANS)
    assert [row.counts["accepted"] for row in changes.days] == [2]


def test_stored_slot_and_day_are_forgotten_once_over(book: AttemptMetrics, time: Time) -> None:
    book.attempt(measured())
    book.take()
    time.pass_by(86_400)
    book.take()
    assert (book._slots._closed, book._slots._dirty, book._days) == ({}, set(), {})


def test_slot_not_stored_yet_is_kept_however_old(book: AttemptMetrics, time: Time) -> None:
    book.attempt(measured())
    changes = book.take()
    book.put_back(changes)
    time.pass_by(86_400)
    assert slots(book) == {("target", SLOT): 1}


def test_clock_that_goes_back_does_not_begin_a_slot_again(book: AttemptMetrics, time: Time) -> None:
    time.pass_by(30)
    book.attempt(measured())
    time.pass_by(-30)
    book.attempt(measured())
    assert slots(book) == {("target", SLOT + timedelta(seconds=30)): 2}


def test_take_is_limited(book: AttemptMetrics) -> None:
    for branch in range(5):
        book.attempt(measured(branch_id=branch))
    taken = [len(book.take(limit=2).days) for _ in range(4)]
    assert taken == [2, 2, 1, 0]


def test_day_sums_by_branch_and_type(book: AttemptMetrics) -> None:
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
    book: AttemptMetrics, monkeypatch: pytest.MonkeyPatch
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
        self.cohorts = Cohorts()
        self.failed = FailedToday()

    async def write(self, slots: Sequence[SlotRow], _days: Sequence[DayRow]) -> bool:
        self.slots += slots
        self.refusals -= 1
        return self.refusals < 0

    async def first(self, idents: Sequence[str]) -> set[str] | None:
        if self.failed.away:
            return None
        new = set(idents) - self.failed.marks
        self.failed.marks |= new
        return new


class Cohorts:
    """Takes cohorts."""

    def __init__(self) -> None:
        self.rows: list[CohortRow] = []

    async def write(self, rows: Sequence[CohortRow]) -> bool:
        self.rows += rows
        return True


@pytest.fixture
def make(book: AttemptMetrics, time: Time) -> Callable[..., MetricsPublisher]:
    def build(wire: Wire, shelf: Shelf, every_s: float = 60.0) -> MetricsPublisher:
        return MetricsPublisher(
            book,
            wire,
            sink=shelf,
            cohorts=shelf.cohorts,
            failures=shelf,
            background=Background(),
            clock=time,
            replica="r-1",
            every_s=every_s,
        )

    return build


async def test_every_provider_is_published_with_delta_and_total(
    book: AttemptMetrics, make: Callable[..., MetricsPublisher]
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


async def test_metric_carries_every_sum(
    book: AttemptMetrics, make: Callable[..., MetricsPublisher]
) -> None:
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
        "not_sent_message": 0,
        "fallback": 1,
        "segments": 1,
        "cost": {"ZMW": Decimal("0.8000")},
        "duration_ms_sum": 120.5,
        "delivered": 1,
    }
    assert total.histogram[DURATION_BOUNDS_MS.index(150)] == 1


async def test_rows_the_store_refused_are_written_again(
    book: AttemptMetrics, make: Callable[..., MetricsPublisher]
) -> None:
    shelf = Shelf(refusals=1)
    publisher = make(Wire(), shelf)
    book.attempt(measured())
    for _ in range(3):
        await publisher.store()
    assert [row.counts["accepted"] for row in shelf.slots] == [1, 1] * len(SPANS)


async def test_a_failure_is_stored_in_the_round_in_which_the_store_says_that_it_is_the_first(
    book: AttemptMetrics, make: Callable[..., MetricsPublisher]
) -> None:
    shelf = Shelf()
    book.attempt(measured(UNKNOWN))
    await make(Wire(), shelf).store()
    assert [row.counts["eligible_failed"] for row in shelf.slots] == [1] * len(SPANS)


async def test_a_store_that_does_not_say_who_failed_keeps_nothing_else_from_being_stored(
    book: AttemptMetrics, make: Callable[..., MetricsPublisher]
) -> None:
    shelf = Shelf()
    shelf.failed.away = True
    book.attempt(measured())
    book.attempt(measured(UNKNOWN))
    await make(Wire(), shelf).store()
    stored = {"accepted": 1, "unknown": 1, "eligible_ok": 1}
    for row in shelf.slots:
        assert {name: row.counts[name] for name in stored} == stored
        assert row.counts.keys().isdisjoint({"eligible_failed", "distinct_failed"})


async def test_cohorts_the_store_refused_are_written_again(
    book: AttemptMetrics, time: Time, make: Callable[..., MetricsPublisher]
) -> None:
    shelf = Shelf(refusals=1)
    book.attempt(measured(), book.began("target", eligible=True))
    time.pass_by(2)
    publisher = make(Wire(), shelf)
    for _ in range(3):
        await publisher.store()
    assert [row.counts["eligible_ok"] for row in shelf.cohorts.rows] == [1, 1]


async def test_started_publisher_ticks(make: Callable[..., MetricsPublisher]) -> None:
    wire = Wire()
    publisher = make(wire, Shelf(), every_s=0.01)
    await publisher.start()
    async with asyncio.timeout(5):
        await wire.arrived.wait()
    await publisher.stop()


async def test_stop_publishes_and_stores_what_is_left(
    book: AttemptMetrics, make: Callable[..., MetricsPublisher]
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
