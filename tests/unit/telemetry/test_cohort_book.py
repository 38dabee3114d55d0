"""Calls by the slot in which they began: each counts once, in its cohort, when it is old enough."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.monitor_fakes import FailedToday
from tests.unit.telemetry.test_metrics import (
    ACCEPTED,
    NOT_SENT,
    REFUSED,
    SLOT,
    UNKNOWN,
    Time,
    measured,
)
from worker.domain.detection.cohorts import SETTLED_AFTER_S
from worker.domain.messages.outcome import Blame, Outcome
from worker.telemetry import cohorts
from worker.telemetry.metrics import AttemptMetrics

if TYPE_CHECKING:
    from datetime import datetime

OPEN = {"eligible_open": 1, "any_open": 1}
OK = {"eligible_ok": 1, "any_ok": 1}
FAILED = {"eligible_failed": 1, "any_failed": 1}
NOBODYS = {"any_refused": 1, "eligible_refused": 1}


class Desk:
    """A book, its clock, and its rows as the store holds them."""

    def __init__(self) -> None:
        self.time = Time()
        self.time.at = SLOT
        self.book = AttemptMetrics(self.time, ["target", "legacy"], slow_ms=3_000)
        self.failed = FailedToday()
        self.rows: dict[tuple[str, datetime], dict[str, int]] = {}
        self.written = 0

    def store(self) -> None:
        """What the publisher does each second."""
        self.failed.answer(self.book)
        rows = self.book.take().cohorts
        self.written += len(rows)
        self.rows |= {(row.provider, row.at): dict(row.counts) for row in rows}

    def at(self, second: float) -> dict[str, int]:
        """The target's cohort of the first slot, so many seconds after its start."""
        self.time.at = SLOT + timedelta(seconds=second)
        self.store()
        return self.rows.get(("target", SLOT), {})

    def begin(self, second: float = 0.0, *, eligible: bool = True) -> int:
        self.time.at = SLOT + timedelta(seconds=second)
        return self.book.began("target", eligible=eligible)

    def end(self, call: int, second: float, outcome: Outcome = ACCEPTED, **changes: Any) -> None:
        self.time.at = SLOT + timedelta(seconds=second)
        self.book.attempt(measured(outcome, **changes), call)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (ACCEPTED, OK),
        (REFUSED, NOBODYS),
        (NOT_SENT[Blame.PROVIDER], FAILED),
        (NOT_SENT[Blame.ACCOUNT], FAILED),
        (NOT_SENT[Blame.RECIPIENT], NOBODYS),
        (NOT_SENT[Blame.MESSAGE], NOBODYS),
        (UNKNOWN, FAILED),
    ],
)
@pytest.mark.parametrize("ended", [0.1, 2.5])
def test_an_outcome_counts_in_the_slot_in_which_its_call_began(
    desk: Desk, outcome: Outcome, ended: float, expected: dict[str, int]
) -> None:
    desk.end(desk.begin(9.0), 9.0 + ended, outcome)
    assert desk.at(13.0) == expected
    assert desk.rows.keys() <= {("target", SLOT)}


@pytest.mark.parametrize("outcome", [ACCEPTED, UNKNOWN])
def test_nothing_of_a_call_counts_before_the_grace_is_over(desk: Desk, outcome: Outcome) -> None:
    first, second = desk.begin(1.0), desk.begin(1.5)
    desk.end(first, 1.6, outcome)
    assert desk.at(2.9) == {}
    assert desk.at(3.0) == (OK if outcome is ACCEPTED else FAILED)
    desk.end(second, 3.2, outcome, to="b")
    assert desk.at(3.4) == (OK if outcome is ACCEPTED else FAILED)
    assert set(desk.at(3.5).values()) == {2}


def test_a_call_under_way_is_open_from_the_grace_on_until_it_ends(desk: Desk) -> None:
    call = desk.begin(1.0)
    assert [desk.at(second) for second in (2.9, 3.0, 29.0)] == [{}, OPEN, OPEN]
    desk.end(call, 31.0, UNKNOWN)
    assert desk.at(31.0) == FAILED


def test_a_call_that_was_cancelled_is_neither_open_nor_counted(desk: Desk) -> None:
    first, second = desk.begin(), desk.begin()
    desk.time.pass_by(1)
    desk.book.abandoned(first)
    assert desk.at(2.0) == OPEN
    desk.book.abandoned(second)
    assert desk.at(3.0) == {}


def test_a_failed_call_is_open_until_the_store_says_whether_it_counts(desk: Desk) -> None:
    call = desk.begin()
    assert desk.at(2.0) == OPEN
    desk.end(call, 30.0, UNKNOWN)
    assert desk.book.take().cohorts == []  # the row stands as it is
    assert desk.at(31.0) == FAILED


@pytest.mark.parametrize(("away", "expected"), [(True, {}), (False, FAILED)])
def test_a_failure_the_store_does_not_know_of_is_not_open_for_ever(
    desk: Desk, *, away: bool, expected: dict[str, int]
) -> None:
    desk.failed.away = away
    desk.end(desk.begin(), 30.0, UNKNOWN)
    assert desk.at(31.0) == expected


def test_a_recipient_who_failed_before_is_no_outcome(desk: Desk) -> None:
    desk.end(desk.begin(0.0), 0.1, UNKNOWN)
    desk.end(desk.begin(0.2), 0.3, UNKNOWN)
    assert desk.at(5.0) == FAILED
    desk.end(desk.begin(6.0), 6.1, UNKNOWN)
    assert desk.at(9.0) == FAILED


def test_a_slow_call_is_an_accepted_one_too_and_slow_once_a_recipient(desk: Desk) -> None:
    for number in range(2):
        desk.end(desk.begin(number), 5.0, duration_ms=3_000.1)
    assert desk.at(6.0) == {"eligible_ok": 2, "eligible_slow": 1, "any_ok": 2}


def test_passed_over_counts_apart_in_the_slot_of_then(desk: Desk) -> None:
    desk.time.at = SLOT + timedelta(seconds=9)
    desk.book.skipped("target", eligible=True, lane="bulk", recipient_hash="a")
    desk.book.skipped("target", eligible=False, lane="bulk", recipient_hash="b")
    assert desk.at(10.9) == {}
    assert desk.at(11.0) == {"eligible_skipped": 1, "any_skipped": 2}
    assert desk.failed.marks == {
        "2026-03-01:any:target:a", "2026-03-01:any:target:b", "2026-03-01:failed:target:a",
    }  # fmt: skip


def test_who_failed_and_is_passed_over_later_counts_once(desk: Desk) -> None:
    desk.end(desk.begin(), 0.1, UNKNOWN)
    desk.book.skipped("target", eligible=True, lane="bulk", recipient_hash="a")
    assert desk.at(3.0) == FAILED


@pytest.mark.parametrize(
    ("outcome", "expected"), [(ACCEPTED, {"any_ok": 2}), (UNKNOWN, {"any_failed": 2})]
)
def test_fallbacks_and_probes_are_among_all_calls_alone(
    desk: Desk, outcome: Outcome, expected: dict[str, int]
) -> None:
    calls = [desk.begin(0.5, eligible=False) for _ in range(2)]
    assert desk.at(3.0) == {"any_open": 2}
    desk.end(calls[0], 4.0, outcome, eligible=False, fallback=True)
    desk.end(calls[1], 4.0, outcome, eligible=False, probe=True)
    assert desk.at(5.0) == expected


def test_a_probe_passed_over_is_among_all_calls_alone(desk: Desk) -> None:
    desk.book.skipped("target", eligible=False, lane="bulk", recipient_hash="a", probe=True)
    assert desk.at(2.0) == {"any_skipped": 1}


def test_a_call_that_is_no_evidence_when_it_ends_is_none(desk: Desk) -> None:
    call = desk.begin()
    assert desk.at(5.0) == OPEN
    desk.end(call, 6.0, eligible=False)
    assert desk.at(6.0) == {"any_ok": 1}


def test_a_row_is_written_only_when_it_changed(desk: Desk) -> None:
    call = desk.begin()
    desk.at(2.0)
    assert [desk.at(second) for second in (3, 4, 5)] == [OPEN] * 3
    assert desk.written == 1
    desk.end(call, 6.0)
    assert [desk.at(second) for second in (6, 7, 8)] == [OK] * 3
    assert desk.written == 2


def test_once_settled_nothing_is_open_and_what_comes_is_too_late(desk: Desk) -> None:
    call = desk.begin(9.0)
    assert desk.at(SETTLED_AFTER_S - 0.1) == OPEN
    assert desk.at(SETTLED_AFTER_S) == {}
    desk.end(call, SETTLED_AFTER_S + 1)
    assert desk.at(SETTLED_AFTER_S + 2) == {}
    assert (desk.book._cohorts._slots, desk.book._cohorts._calls) == ({}, {})


def test_a_settled_row_is_kept_until_it_is_stored_and_ten_minutes_at_most(desk: Desk) -> None:
    desk.end(desk.begin(), 0.1)
    desk.time.pass_by(SETTLED_AFTER_S)
    changes = desk.book.take()
    desk.book.put_back(changes)
    desk.time.pass_by(cohorts.KEPT_S - 1)
    (row,) = (changes := desk.book.take()).cohorts
    assert row.counts == OK
    desk.book.put_back(changes)
    desk.time.pass_by(2)
    assert desk.book.take().cohorts == []
    assert desk.book._cohorts._slots == {}


def test_providers_and_slots_are_counted_apart(desk: Desk) -> None:
    desk.end(desk.begin(9.9), 10.0)
    desk.end(desk.begin(10.0), 10.1)
    legacy = desk.book.began("legacy", eligible=True)
    desk.book.attempt(measured(provider="legacy"), legacy)
    desk.at(13.0)
    later = SLOT + timedelta(seconds=10)
    assert desk.rows == {
        ("target", SLOT): OK, ("target", later): OK, ("legacy", later): OK,
    }  # fmt: skip


def test_a_clock_that_is_set_back_keeps_nothing_from_growing_old(desk: Desk) -> None:
    hours = timedelta(hours=1)
    desk.book._cohorts._clock = Back(desk.time, hours)
    desk.end(desk.begin(), 0.1)
    desk.time.pass_by(2)
    desk.store()
    assert desk.rows == {("target", SLOT - hours): OK}


class Back:
    """A clock whose time of day was set back."""

    def __init__(self, time: Time, by: timedelta) -> None:
        self.time, self.by = time, by

    def now(self) -> datetime:
        return self.time.now() - self.by

    def monotonic(self) -> float:
        return self.time.monotonic()
