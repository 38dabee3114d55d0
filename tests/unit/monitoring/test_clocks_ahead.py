"""A clock was wrong for a while: nobody waits until it is right, and nothing counts twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.monitor_fakes import BAD, LEGACY, OK, TARGET, Account, Begun
from tests.support.replicas_fake import Replicas
from worker.domain.alerts.notices import LONGEST_WAIT, Alert, Kind, Told, due, same, unseen
from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.detection.cohorts import KEPT, Calls, Cohort, ReplicaCalls
from worker.domain.detection.evidence import Evidence
from worker.domain.figures.periods import SlotSums
from worker.monitoring.ticks import HORIZON, Ticks, since

if TYPE_CHECKING:
    from worker.domain.migration.replicas import LiveReplica

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
REPEAT, SETTLE = timedelta(minutes=15), timedelta(seconds=30)


# --- alerts: stamped by the server -----------------------------------------------------------


def alert(**changes: Any) -> Alert:
    made = Alert("a", "account", "at", "critical", "401", NOW - HOUR, NOW, ends=True)
    return replace(made, **changes)


def told(seen: Alert) -> Kind | None:
    return due(seen, NOW, repeat=REPEAT, settle=SETTLE)


def test_a_repeat_does_not_wait_for_a_time_that_lies_in_the_future() -> None:
    assert told(alert(told=Told(Kind.NEW, NOW + HOUR))) is Kind.REPEAT
    assert told(alert(told=Told(Kind.NEW, NOW + SECOND))) is None


def test_that_it_is_over_is_told_though_it_ended_in_the_future() -> None:
    over = alert(told=Told(Kind.NEW, NOW - HOUR), over_at=NOW + HOUR)
    assert told(over) is Kind.RECOVERED


def test_the_next_try_is_never_further_away_than_the_longest_wait() -> None:
    assert told(alert(next_at=NOW + LONGEST_WAIT)) is None
    assert told(alert(next_at=NOW + LONGEST_WAIT + SECOND)) is Kind.NEW
    assert told(alert(next_at=NOW)) is Kind.NEW


@pytest.mark.parametrize(("away", "gone"), [(SECOND, False), (HOUR, True)])
def test_a_trouble_confirmed_far_from_now_is_seen_by_nobody(away: timedelta, *, gone: bool) -> None:
    assert unseen(alert(last_seen=NOW - away), NOW) is gone
    assert unseen(alert(last_seen=NOW + away), NOW) is gone


def test_a_trouble_that_ended_far_in_the_future_is_another() -> None:
    assert same(alert(over_at=NOW + SECOND), NOW)
    assert not same(alert(over_at=NOW + HOUR), NOW)


# --- slots: read by any replica's clock ------------------------------------------------------


class Slots:
    """Ten minutes and more of slots with one failure each, as `store.slots` hands them out."""

    def __init__(self) -> None:
        self.failures = {NOW - timedelta(seconds=10 * back): 1 for back in range(500)}

    async def recent(self, start: datetime, names: Any) -> list[SlotSums]:
        return [
            SlotSums(
                TARGET, int(at.timestamp()), {**dict.fromkeys(names, 0), "eligible_failed": count}
            )
            for at, count in self.failures.items()
            if at >= start
        ]


class Nobody:
    async def list(self) -> list[LiveReplica]:
        return []


class Looking:
    """Monitors that make the ticks in turn, each by its own clock."""

    def __init__(self) -> None:
        self.slots = Slots()
        replicas: Any = Nobody()
        target, legacy = Account(TARGET), Account(LEGACY)
        self.ticks = Ticks(self.slots, Begun({}), replicas, target, legacy, 600.0)
        self.before: Checkpoint | None = None

    async def tick(self, now: datetime, server: datetime) -> float:
        """Failures counted by a tick of a replica, while the server says what time it is."""
        before = replace(self.before, read_at=server) if self.before else None
        found, counted = await self.ticks.read(before, now)
        self.before = Checkpoint(1, now, Evidence(), counted, since=since(before, now))
        return found.target.failed.events


@pytest.mark.parametrize("wrong_for", [1, 2, 5])
@pytest.mark.parametrize("wrong", [HOUR, -HOUR])
async def test_ticks_by_a_replica_whose_clock_is_wrong_count_nothing_twice(
    wrong: timedelta, wrong_for: int
) -> None:
    looking = Looking()
    await looking.tick(NOW, NOW)
    assert [await looking.tick(NOW + wrong, NOW) for _ in range(wrong_for)] == [0] * wrong_for
    assert await looking.tick(NOW, NOW) == 0


@pytest.mark.parametrize("wrong", [HOUR, -HOUR])
async def test_ticks_while_the_server_is_wrong_count_nothing_twice(wrong: timedelta) -> None:
    looking = Looking()
    await looking.tick(NOW, NOW)
    assert [await looking.tick(NOW, NOW + wrong) for _ in range(3)] == [0, 0, 0]
    assert await looking.tick(NOW, NOW) == 0


@pytest.mark.parametrize("wrong", [timedelta(), HOUR, -HOUR])
async def test_a_wrong_clock_does_not_keep_what_is_new_from_being_counted(wrong: timedelta) -> None:
    looking = Looking()
    await looking.tick(NOW, NOW)
    await looking.tick(NOW + wrong, NOW)
    looking.slots.failures[NOW + timedelta(seconds=10)] = 3
    later = NOW + timedelta(seconds=20)
    assert await looking.tick(later, later) == 3


def test_the_horizon_goes_on_with_time() -> None:
    first = Checkpoint(1, NOW, Evidence(), {}, since=since(None, NOW), read_at=NOW + HOUR)
    assert since(None, NOW) == NOW - HORIZON
    assert since(first, NOW + HOUR) == NOW + HOUR - HORIZON


def test_a_checkpoint_of_an_older_version_has_the_horizon_of_its_reader() -> None:
    assert since(Checkpoint(1, NOW, Evidence(), {}), NOW) == NOW - HORIZON


# --- replicas whose clocks are apart ---------------------------------------------------------


@pytest.mark.parametrize(
    ("off", "seen_by_start"),
    [
        ((0, 0, 0), 3),
        ((0, 15, -15), 3),
        ((0, 30, -30), 3),
        ((0, 0, 120), 3),
        ((120, 120, 0), 3),
        ((0, -120, 120), 2),
        ((0, 0, 3_600), 2),
    ],
)
async def test_replicas_whose_clocks_are_apart_count_every_outcome_once(
    off: tuple[int, ...], seen_by_start: int
) -> None:
    """By the slot of their start, at most once: whose clock is far behind comes too late."""
    replicas, rng = Replicas(off), Random(1)
    await replicas.tick()
    ended, begun = 0.0, {}
    for _ in range(90):
        replicas.clock.advance(begins := rng.randrange(8))
        for replica in range(3):
            replicas.attempt(replica, TARGET, rng.choice((BAD, OK)))
        replicas.store()
        replicas.clock.advance(10 - begins)
        replicas.store()
        found = await replicas.tick(rng.randrange(3))
        ended += found.target.failed.total
        begun |= {each.start: each.target.ok + each.target.failed for each in found.cohorts}
        assert len(found.cohorts) <= KEPT
    lately = 14  # ticks whose slots of replicas that are ahead are still to come
    assert ended == replicas.recipients
    every = replicas.recipients * seen_by_start / 3
    assert every - 2 * lately <= sum(begun.values()) <= every


async def test_a_tick_has_the_cohorts_of_the_last_minute_of_target_and_legacy() -> None:
    replicas = Replicas((0, 0))
    start = replicas.clock.now().timestamp()
    for _ in range(8):
        replicas.attempt(0, TARGET, OK)
        replicas.attempt(1, TARGET, BAD)
        replicas.attempt(1, LEGACY, OK)
        replicas.attempt(0, LEGACY, BAD, eligible=False)
        replicas.attempt(0, "another", OK)
        replicas.clock.advance(10)
        replicas.store()
    replicas.clock.advance(-5)  # in the midst of a slot
    found = (await replicas.tick()).cohorts
    both, ok = Calls(ok=1, failed=1), Calls(ok=1)
    each = ReplicaCalls("0", ok=1), ReplicaCalls("1", failed=1, legacy_ok=1)
    assert found == tuple(
        Cohort(start + 10.0 * number, target=both, legacy=ok, legacy_all=both, replicas=each)
        for number in range(2, 8)
    )


async def test_calls_under_way_and_passed_over_are_in_their_cohort() -> None:
    replicas = Replicas((0, 0))
    start = replicas.clock.now().timestamp()
    for eligible in (True, False):
        replicas.books[0].began(LEGACY, eligible=eligible)
        replicas.books[1].skipped(
            LEGACY, eligible=eligible, lane="bulk", recipient_hash=str(eligible)
        )
    replicas.clock.advance(9)
    replicas.store()
    (found,) = (await replicas.tick()).cohorts
    assert found == Cohort(
        start,
        legacy=Calls(skipped=1, open=1),
        legacy_all=Calls(skipped=2, open=2),
        replicas=(ReplicaCalls("0"), ReplicaCalls("1", legacy_failed=1)),
    )


async def test_what_each_replica_has_under_way_and_passed_over_at_the_target_is_kept() -> None:
    replicas = Replicas((0, 0))
    for eligible in (True, False):
        replicas.books[0].began(TARGET, eligible=eligible)
        replicas.books[1].skipped(
            TARGET, eligible=eligible, lane="bulk", recipient_hash=str(eligible)
        )
    replicas.clock.advance(9)
    replicas.store()
    (found,) = (await replicas.tick()).cohorts
    assert found.replicas == (ReplicaCalls("0", open=1), ReplicaCalls("1", failed=1))
