"""What people are told of an alert, and when: every way it can go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.fakes import EPOCH
from worker.domain.alerts.notices import (
    LEASE,
    NEWS,
    SAME_S,
    SHOWN,
    TRIES,
    UNSEEN_S,
    Acknowledged,
    Alert,
    Kind,
    Told,
    backoff,
    due,
    identity,
    named,
    same,
    unseen,
)

REPEAT, SETTLE = timedelta(minutes=15), timedelta(seconds=30)
HOUR = timedelta(hours=1)
TROUBLE = Alert("4f1c09aa-1", "account", "legacy", "critical", "401", EPOCH, EPOCH, ends=True)
EVENT = replace(TROUBLE, id="77777777-2", code="automatic-rollback", provider=None, ends=False)
TAKEN = Acknowledged("ann", EPOCH, "on it")


def told(kind: Kind, at: timedelta = timedelta(0)) -> Told:
    return Told(kind, EPOCH + at)


def wanted(alert: Alert, after: timedelta = timedelta(0)) -> Kind | None:
    return due(alert, EPOCH + after, repeat=REPEAT, settle=SETTLE)


@pytest.mark.parametrize("alert", [TROUBLE, EVENT])
@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_what_began_or_happened_is_told_at_once(alert: Alert, severity: str) -> None:
    assert wanted(replace(alert, severity=severity)) is Kind.NEW


@pytest.mark.parametrize(("code", "kind"), [("state", Kind.NEW), ("anything", None)])
def test_of_information_a_change_of_state_alone_is_told(code: str, kind: Kind | None) -> None:
    assert wanted(replace(EVENT, severity="info", code=code)) is kind


def test_an_event_nobody_could_be_told_of_is_no_news_after_a_while() -> None:
    assert wanted(EVENT, NEWS) is None
    assert wanted(TROUBLE, NEWS) is Kind.NEW


@pytest.mark.parametrize("before", [Kind.NEW, Kind.AGAIN, Kind.REPEAT])
@pytest.mark.parametrize("alert", [TROUBLE, EVENT])
def test_a_critical_one_is_repeated_until_somebody_acknowledges_it(
    alert: Alert, before: Kind
) -> None:
    known = replace(alert, told=told(before))
    assert wanted(known, REPEAT - timedelta(seconds=1)) is None
    assert wanted(known, REPEAT) is Kind.REPEAT
    assert wanted(replace(known, acknowledged=TAKEN), REPEAT) is None
    assert wanted(replace(known, severity="warning"), REPEAT) is None


def test_an_event_is_repeated_for_a_day_and_a_trouble_as_long_as_it_lasts() -> None:
    assert wanted(replace(EVENT, told=told(Kind.NEW)), SHOWN) is None
    assert wanted(replace(TROUBLE, told=told(Kind.NEW)), SHOWN) is Kind.REPEAT


@pytest.mark.parametrize("before", [Kind.NEW, Kind.REPEAT])
def test_that_it_is_over_is_told_once_it_has_settled(before: Kind) -> None:
    over = replace(TROUBLE, told=told(before), over_at=EPOCH, acknowledged=TAKEN)
    assert wanted(over, SETTLE - timedelta(seconds=1)) is None
    assert wanted(over, SETTLE) is Kind.RECOVERED
    assert wanted(replace(over, told=told(Kind.RECOVERED)), HOUR) is None


def test_what_came_and_went_untold_is_told_if_it_was_critical() -> None:
    over = replace(TROUBLE, over_at=EPOCH)
    assert wanted(over, HOUR) is Kind.RECOVERED
    assert wanted(replace(over, severity="warning"), HOUR) is None


def test_what_is_back_after_it_was_told_to_be_over_is_told_at_once() -> None:
    assert wanted(replace(TROUBLE, told=told(Kind.RECOVERED))) is Kind.AGAIN


def test_of_what_comes_and_goes_the_end_is_told_late() -> None:
    over = replace(TROUBLE, told=told(Kind.AGAIN), over_at=EPOCH)
    assert wanted(over, REPEAT - timedelta(seconds=1)) is None
    assert wanted(over, REPEAT) is Kind.RECOVERED


def test_what_is_in_somebodys_hands_is_nobody_elses_until_the_claim_ends() -> None:
    claimed = replace(TROUBLE, next_at=EPOCH + LEASE)
    assert wanted(claimed, LEASE - timedelta(seconds=1)) is None
    assert wanted(claimed, LEASE) is Kind.NEW


def test_a_trouble_is_over_when_every_replica_that_saw_it_is_gone() -> None:
    at = EPOCH + timedelta(seconds=UNSEEN_S)
    assert not unseen(TROUBLE, at)
    assert unseen(TROUBLE, at + timedelta(seconds=1))
    assert not unseen(EVENT, at + HOUR)


def test_replicas_give_one_trouble_one_id() -> None:
    at = EPOCH + timedelta(seconds=1)
    assert identity("account", "legacy", EPOCH) == identity("account", "legacy", at)
    later = EPOCH + timedelta(seconds=SAME_S)
    ids = {identity("account", p, t) for p in ("legacy", "at", None) for t in (EPOCH, later)}
    assert len(ids) == 6


def test_what_comes_back_within_ten_minutes_is_the_same() -> None:
    over = replace(TROUBLE, over_at=EPOCH)
    assert same(TROUBLE, EPOCH + 9 * HOUR)
    assert same(over, EPOCH + timedelta(seconds=SAME_S - 1))
    assert not same(over, EPOCH + timedelta(seconds=SAME_S))
    assert not same(EVENT, EPOCH)


@pytest.mark.parametrize(
    ("name", "provider", "found"),
    [
        ("account", None, ["4f1c09aa-1", "9999999-3"]),
        ("account", "at", ["9999999-3"]),
        ("4f1c09", None, ["4f1c09aa-1"]),
        ("4f1c0", None, []),
        ("automatic-rollback", None, ["77777777-2"]),
        ("events-unrouted", None, []),
        ("control-refused", None, []),
        ("", None, []),
    ],
)
def test_an_alert_is_named_by_code_or_the_beginning_of_its_id(
    name: str, provider: str | None, found: list[str]
) -> None:
    book = (
        TROUBLE,
        EVENT,
        replace(TROUBLE, id="9999999-3", provider="at"),
        replace(TROUBLE, code="events-unrouted", over_at=EPOCH),
        replace(EVENT, code="control-refused", severity="warning"),
    )
    assert [each.id for each in named(book, name, provider)] == found


def test_by_its_code_an_alert_is_meant_that_nobody_has_acknowledged() -> None:
    book = (replace(EVENT, id="11111111-1", acknowledged=TAKEN), EVENT)
    assert named(book, EVENT.code, None) == (EVENT,)


def test_by_its_id_an_acknowledged_alert_is_still_meant() -> None:
    taken = replace(EVENT, id="11111111-1", acknowledged=TAKEN)
    assert named((taken, EVENT), "111111", None) == (taken,)


def test_where_all_of_a_code_are_acknowledged_all_are_meant() -> None:
    book = (replace(EVENT, acknowledged=TAKEN), replace(EVENT, id="1-1", acknowledged=TAKEN))
    assert named(book, EVENT.code, None) == book


def test_tries_are_spread_over_twenty_minutes() -> None:
    waits = [backoff(number).total_seconds() for number in range(1, TRIES)]
    assert waits == [10, 20, 40, 80, 160, 320, 600]
