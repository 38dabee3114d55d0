"""Replicas that record and tell: one trouble reaches people once, and no death loses a notice."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.alert_fakes import Letters, MemoryBook
from tests.support.fakes import HandClock, Snapshots, snapshot
from tests.support.waiting import until
from worker.alerting.alerts import Alerts
from worker.alerting.direct_notices import DirectNotices
from worker.alerting.notifier import Notifier
from worker.alerting.recorder import Recorder
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.alerts.notices import LEASE, TRIES, TRIES_AT_THE_REST, UNSEEN_S
from worker.domain.migration.flags import MigrationSettings
from worker.ports.store import StoreUnavailable
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import Sequence

REPEAT_S, SETTLE_S, DIRECTLY_S = 900.0, 30.0, 15.0
OPS = "ops@example.com"
HOOK = "https://hooks.example/secret"


class Nobody:
    """A broadcast to nobody."""

    def metric(self, key: str, body: bytes) -> None:
        pass


class Replica:
    """One process's alerts, its recorder and its notifier."""

    def __init__(self, bench: Harness, name: str) -> None:
        self.alerts = Alerts(Nobody(), bench.clock, name)
        self.book = MemoryBook(bench.clock, name, bench.book)
        direct = DirectNotices()
        self.recorder = Recorder(self.alerts, self.book, direct, Background())
        self.notifier = Notifier(
            source=self.alerts,
            book=self.book,
            snapshots=bench.snapshots,
            post=bench.letters,
            direct=direct,
            clock=bench.clock,
            background=Background(),
            repeat_s=REPEAT_S,
            settle_s=SETTLE_S,
            directly_after_s=DIRECTLY_S,
        )

    async def turn(self) -> None:
        """What the services' loops do, once."""
        with suppress(StoreUnavailable):
            await self.recorder.round()
        await self.notifier.turn()


class Harness:
    """Replicas that share a book, a clock and the people who are told."""

    def __init__(self, recipients: Sequence[str] = (OPS,)) -> None:
        self.clock = HandClock()
        self.book = MemoryBook(self.clock)
        self.letters = Letters()
        migration = MigrationSettings(notify=tuple(recipients))
        self.snapshots = Snapshots(snapshot(migration=migration))
        self.replicas = [Replica(self, f"r-{number}") for number in range(3)]

    @property
    def first(self) -> Replica:
        return self.replicas[0]

    async def pass_by(self, seconds: float = 0.0, of: Sequence[Replica] | None = None) -> list[str]:
        """Let time pass, second by second; what was told in it."""
        before = len(self.letters.sent)
        for _ in range(int(seconds)):
            self.clock.advance(1)
            for each in of or self.replicas:
                await each.turn()
        for each in of or self.replicas:
            await each.turn()
        return [subject for _, subject in self.letters.sent[before:]]


@pytest.fixture
def bench() -> Harness:
    return Harness()


def raised(replicas: Sequence[Replica], code: AlertCode = AlertCode.ACCOUNT) -> None:
    for each in replicas:
        each.alerts.raise_alert(code, "401")


async def test_a_trouble_that_all_replicas_see_is_told_once(bench: Harness) -> None:
    raised(bench.replicas)
    assert await bench.pass_by(60) == ["[critical] account: 401"]


async def test_it_is_over_when_the_last_replica_says_so_and_told_once(bench: Harness) -> None:
    raised(bench.replicas)
    await bench.pass_by(1)
    for each in bench.replicas[:2]:
        each.alerts.resolve("account", "200")
    assert await bench.pass_by(60) == []
    bench.replicas[2].alerts.resolve("account", "200")
    assert await bench.pass_by(SETTLE_S - 1) == []
    assert await bench.pass_by(60) == ["[over] account: 200"]


async def test_what_comes_back_before_it_was_told_to_be_over_is_told_no_more(
    bench: Harness,
) -> None:
    raised([bench.first])
    await bench.pass_by(1)
    for _ in range(10):
        bench.first.alerts.resolve("account", "200")
        await bench.pass_by(20)
        raised([bench.first])
        await bench.pass_by(20)
    assert len(bench.letters.sent) == 1


async def test_a_day_of_coming_and_going_is_a_few_notices_an_hour(bench: Harness) -> None:
    for _ in range(30):
        raised([bench.first], AlertCode.VALIDATION)
        await bench.pass_by(60)
        bench.first.alerts.resolve("validation", "200")
        await bench.pass_by(60)
    assert len(bench.letters.sent) == 3  # new, over, again; then nothing until it stays over
    assert await bench.pass_by(REPEAT_S) == ["[over] validation: 200"]


async def test_an_unacknowledged_critical_one_is_repeated(bench: Harness) -> None:
    raised(bench.replicas)
    await bench.pass_by(REPEAT_S - 1)
    repeated = ["[critical, not acknowledged] account: 401"]
    assert await bench.pass_by(2) == repeated
    assert await bench.pass_by(REPEAT_S) == repeated
    ((alert, _),) = await bench.book.recent()
    await bench.book.acknowledge(alert.id, "ann", "on it")
    assert await bench.pass_by(2 * REPEAT_S) == []


async def test_a_dead_replica_keeps_no_trouble_open(bench: Harness) -> None:
    raised([bench.first])
    await bench.pass_by(1)
    told = await bench.pass_by(UNSEEN_S + SETTLE_S + 10, of=bench.replicas[1:])
    assert told == ["[over] account: the replicas that saw it are gone"]


async def test_whoever_dies_while_telling_is_replaced_after_the_claim(bench: Harness) -> None:
    raised(bench.replicas)
    await bench.first.recorder.round()
    ((alert, now),) = await bench.book.recent()
    assert await bench.first.book.claim(alert, now)
    others = bench.replicas[1:]
    assert await bench.pass_by(LEASE.total_seconds() - 1, of=others) == []
    assert await bench.pass_by(1, of=others) == ["[critical] account: 401"]


async def test_each_recipient_is_tried_until_he_has_it_and_the_others_get_it_once() -> None:
    bench = Harness([OPS, HOOK])
    bench.letters.broken = {HOOK}
    raised(bench.replicas)
    await bench.pass_by(25)
    bench.letters.broken = set()
    await bench.pass_by(60)
    assert sorted(who for who, _ in bench.letters.sent) == [HOOK, OPS]


async def test_who_cannot_be_reached_at_all_is_told_to_the_others_without_his_secret() -> None:
    bench = Harness([OPS, HOOK])
    bench.letters.broken = {HOOK}
    raised(bench.replicas)
    told = await bench.pass_by(600)
    (given_up,) = (each for each in told if "notification-failed" in each)
    expected = f"account: given up after {TRIES_AT_THE_REST} tries: hooks.example: answered 500"
    assert given_up == f"[warning] notification-failed: {expected}"


async def test_whom_nobody_answers_for_is_tried_for_twenty_minutes(bench: Harness) -> None:
    bench.letters.broken = {OPS}
    raised(bench.replicas, AlertCode.VALIDATION)
    await bench.pass_by(20 * 60)
    bench.letters.broken = set()
    assert await bench.pass_by(60) == ["[warning] validation: 401"]


async def test_after_that_a_notice_is_given_up(bench: Harness) -> None:
    bench.letters.broken = {OPS}
    raised(bench.replicas, AlertCode.VALIDATION)
    await bench.pass_by(25 * 60)
    bench.letters.broken = set()
    told = await bench.pass_by(60 * 60)
    expected = f"validation: given up after {TRIES} tries: ops@example.com: answered 500"
    assert told == [f"[warning] notification-failed: {expected}"]


async def test_a_mail_address_without_a_server_is_a_warning_and_the_others_are_told() -> None:
    bench = Harness([OPS, HOOK])
    bench.letters.mails = False
    raised(bench.replicas)
    await bench.pass_by(1)
    await bench.pass_by(600)
    assert {who for who, _ in bench.letters.sent} == {HOOK}
    assert (HOOK, "[warning] recipients: ops@example.com: no mail server") in bench.letters.sent
    bench.letters.mails = True
    assert "[over] recipients: every recipient can be tried" in await bench.pass_by(60)


async def test_with_nobody_to_tell_nothing_is_claimed_and_who_comes_later_is_told() -> None:
    bench = Harness([])
    raised(bench.replicas)
    await bench.pass_by(60)
    migration = MigrationSettings(notify=(OPS,))
    bench.snapshots.current = snapshot(migration=migration)
    assert await bench.pass_by(1) == ["[critical] account: 401"]


async def test_each_change_of_state_is_told_and_a_flood_of_warnings_once(bench: Harness) -> None:
    for number in range(3):
        bench.first.alerts.event(AlertCode.STATE, f"ann: {number}")
    for number in range(200):
        bench.first.alerts.event(AlertCode.CONTROL_REFUSED, f"eve: {number}")
    told = await bench.pass_by(60)
    assert sorted(told)[:3] == [f"[info] state: ann: {number}" for number in range(3)]
    assert len(told) == 4


# --- the store is away ------------------------------------------------------------------------


def away(bench: Harness, *, now: bool = True) -> None:
    for each in bench.replicas:
        each.book.away = now


async def test_while_the_store_is_away_each_replica_tells_of_it_once(bench: Harness) -> None:
    away(bench)
    raised(bench.replicas, AlertCode.STORE)
    assert await bench.pass_by(DIRECTLY_S - 1) == []
    assert await bench.pass_by(600) == ["[critical] store: 401"] * 3


async def test_when_it_is_back_it_is_told_once_and_by_one(bench: Harness) -> None:
    away(bench)
    raised(bench.replicas, AlertCode.STORE)
    await bench.pass_by(60)
    away(bench, now=False)
    for each in bench.replicas:
        each.alerts.resolve("store", "back")
    assert await bench.pass_by(120) == ["[over] store: back"]


async def test_what_was_told_directly_and_still_stands_is_not_told_again(bench: Harness) -> None:
    away(bench)
    raised([bench.first], AlertCode.ACCOUNT)
    assert await bench.pass_by(60) == ["[critical] account: 401"]
    away(bench, now=False)
    assert await bench.pass_by(60) == []
    ((alert, _),) = await bench.book.recent()
    assert alert.open


async def test_a_short_absence_of_the_store_is_told_by_nobody_until_it_is_over(
    bench: Harness,
) -> None:
    away(bench)
    raised(bench.replicas, AlertCode.STORE)
    assert await bench.pass_by(10) == []
    for each in bench.replicas:
        each.alerts.resolve("store", "back")
    assert await bench.pass_by(DIRECTLY_S) == []
    away(bench, now=False)
    assert await bench.pass_by(60) == ["[over] store: back"]


async def test_of_what_was_recorded_before_it_nobody_tells_directly(bench: Harness) -> None:
    raised(bench.replicas)
    await bench.pass_by(5)
    away(bench)
    assert await bench.pass_by(120) == []


async def test_without_the_store_whom_nobody_could_reach_is_tried_again(bench: Harness) -> None:
    away(bench)
    bench.letters.broken = {OPS}
    raised([bench.first], AlertCode.STORE)
    assert await bench.pass_by(60) == []
    bench.letters.broken = set()
    assert await bench.pass_by(60) == ["[critical] store: 401"]


# --- services ---------------------------------------------------------------------------------


async def test_a_replica_that_starts_again_sees_the_same_trouble(bench: Harness) -> None:
    raised([bench.first])
    await bench.pass_by(1)
    again = Replica(bench, "r-9")
    raised([again])
    await bench.pass_by(60, of=[again])
    assert len(bench.letters.sent) == 1


async def test_an_error_of_our_own_is_not_taken_for_an_unreachable_recipient(
    bench: Harness,
) -> None:
    async def broken(_recipient: str, _notice: object) -> None:
        raise KeyError("ours")

    bench.letters.send = broken
    raised([bench.first])
    await bench.first.recorder.round()
    with pytest.raises(KeyError):
        await bench.first.notifier.look()


async def test_the_services_work_until_they_are_stopped() -> None:
    bench = Harness()
    background = Background()
    first = bench.first
    first.recorder = Recorder(first.alerts, first.book, DirectNotices(), background)
    raised([first])
    for service in (first.recorder, first.notifier):
        await service.stop()
        await service.start()
    await until(lambda: bench.letters.sent, 5)
    for service in (first.notifier, first.recorder):
        await service.drain()
        await service.stop()
        await service.stop()
    assert replace(first.alerts.seen()[0]).code == "account"
