"""What is in force on this replica: swapped whole, never backwards, never too old to send by."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import EPOCH, Guard, HandClock, quietly, snapshot
from tests.support.waiting import until, until_equal
from worker.control.snapshot_follower import SnapshotFollower, seed
from worker.domain.migration.flags import Flags
from worker.domain.migration.phases import DEFAULT_RULES, Phase
from worker.domain.migration.replicas import Heartbeat
from worker.ports.store import StoreUnavailable, WriteConflict
from worker.service import Background

if TYPE_CHECKING:
    from worker.domain.migration.control_log import LogEntry
    from worker.domain.migration.snapshot import Snapshot


class Log:
    """A control log of which only the last entry matters."""

    def __init__(self, standing: Snapshot | None = None) -> None:
        self.standing = standing
        self.entries: list[LogEntry] = []
        self.away = False
        self.reads = 0
        self.first_by_another: Snapshot | None = None

    async def last(self) -> tuple[int, Snapshot] | None:
        self.reads += 1
        if self.away:
            raise StoreUnavailable("test")
        return (self.reads, self.standing) if self.standing else None

    async def append(self, entry: LogEntry) -> None:
        if self.first_by_another is not None:
            self.standing = self.first_by_another
            raise WriteConflict
        self.entries.append(entry)
        self.standing = entry.after


class Replicas:
    def __init__(self) -> None:
        self.heartbeats: list[Heartbeat] = []
        self.gone: list[str] = []
        self.count = 2
        self.away = False

    async def write_heartbeat(self, heartbeat: Heartbeat) -> None:
        self.heartbeats.append(heartbeat)

    async def live(self) -> int:
        return self.count

    async def leave(self, replica: str) -> None:
        if self.away:
            raise StoreUnavailable("test")
        self.gone.append(replica)


class Followed:
    def __init__(self) -> None:
        self.times = 0
        self.away = False

    async def follow(self) -> None:
        self.times += 1
        if self.away:
            raise StoreUnavailable("test")


class Harness:
    def __init__(self, standing: Snapshot | None = None) -> None:
        self.clock = HandClock()
        self.log = Log(standing or snapshot(25))
        self.replicas, self.followed, self.guard = Replicas(), Followed(), Guard("at")
        self.told: list[bool] = []
        self.swaps: list[tuple[Snapshot | None, Snapshot]] = []
        self.background = Background()
        self.follower = SnapshotFollower(
            log=self.log,
            replicas=self.replicas,
            followed=(self.followed,),
            guards=(self.guard,),
            clock=self.clock,
            background=self.background,
            max_age_s=5.0,
            heartbeat=lambda applied: Heartbeat("us", applied, None, {}, {}, 0, consuming=True),
            stale=self.told.append,
            swapped=lambda *swap: self.swaps.append(swap),
        )

    async def woken(self) -> None:
        """One more round, begun by a wake-up."""
        before = len(self.told), self.log.reads
        self.follower.wake()
        await until(lambda: self.log.reads > before[1], 5)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def bench() -> object:
    made = Harness()
    await made.follower.start()
    yield made
    await made.follower.stop()
    await made.background.stop()


async def test_a_started_replica_has_state_heartbeat_and_share(bench: Harness) -> None:
    assert bench.follower.current == snapshot(25)
    assert bench.follower.is_fresh()
    assert (bench.replicas.heartbeats[0].applied, bench.guard.replicas) == (1, 2)
    assert bench.followed.times == 1


async def test_a_start_waits_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.control.snapshot_follower.EVERY_S", 0.01)
    made = Harness()
    made.log.away = True
    starting = asyncio.create_task(made.follower.start())
    await until(lambda: made.told == [True, True], 5)
    assert not made.follower.is_fresh()
    made.log.away = False
    await starting
    assert made.follower.is_fresh()
    await made.follower.stop()
    await made.background.stop()


async def test_a_start_that_waits_for_the_store_can_be_given_up() -> None:
    made = Harness()
    made.log.away = True
    starting = asyncio.create_task(made.follower.start())
    await until(lambda: made.told, 5)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await made.follower.stop()  # safe when never started


async def test_a_wake_up_reads_at_once(bench: Harness) -> None:
    bench.log.standing = snapshot(50, version=2)
    await bench.woken()
    assert bench.follower.current == snapshot(50, version=2)
    assert bench.replicas.heartbeats[-1].applied == 2


async def test_the_state_is_read_again_without_a_wake_up(
    bench: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.control.snapshot_follower.EVERY_S", 0.01)
    await bench.woken()
    reads = bench.log.reads
    await until(lambda: bench.log.reads >= reads + 3, 5)


async def test_a_wake_up_that_comes_while_a_round_is_under_way_begins_another(
    bench: Harness,
) -> None:
    real, woken = bench.replicas.write_heartbeat, False

    async def slow(heartbeat: Heartbeat) -> None:
        nonlocal woken
        await real(heartbeat)
        if not woken:  # the state changed after it was read, and a wake-up said so
            woken = True
            bench.log.standing = snapshot(50, version=2)
            bench.follower.wake()

    bench.replicas.write_heartbeat = slow
    bench.follower.wake()
    await until(lambda: woken, 5)
    # Well before the second is over.
    await until_equal(lambda: bench.follower.current, snapshot(50, version=2), 0.5)


async def test_each_swap_is_told_with_what_was_before(bench: Harness) -> None:
    bench.log.standing = snapshot(50, version=2)
    await bench.woken()
    await bench.woken()
    assert bench.swaps == [
        (None, snapshot(25)),
        (snapshot(25), snapshot(50, version=2)),
    ]


async def test_the_same_state_is_the_same_object(bench: Harness) -> None:
    before = bench.follower.current
    bench.log.standing = snapshot(25)
    await bench.woken()
    assert bench.follower.current is before


async def test_an_older_version_of_the_same_lineage_is_ignored(bench: Harness) -> None:
    bench.log.standing = snapshot(50, version=3)
    await bench.woken()
    bench.log.standing = snapshot(10, version=2)
    await bench.woken()
    assert bench.follower.current == snapshot(50, version=3)


async def test_another_lineage_counts_anew(bench: Harness) -> None:
    bench.log.standing = snapshot(50, version=3)
    await bench.woken()
    other = replace(snapshot(10, version=1), lineage="restored")
    bench.log.standing = other
    await bench.woken()
    assert bench.follower.current == other


async def test_after_five_seconds_without_the_store_nothing_is_sent_by_it(bench: Harness) -> None:
    bench.log.away = True
    bench.clock.advance(4.9)
    await bench.woken()
    assert bench.follower.is_fresh()
    bench.clock.advance(0.1)
    await bench.woken()
    assert not bench.follower.is_fresh()
    assert bench.told[-1] is True


async def test_a_store_that_did_not_answer_is_not_reported_as_back(bench: Harness) -> None:
    await bench.woken()
    told = len(bench.told)
    bench.log.away = True
    await bench.woken()
    assert bench.follower.is_fresh()
    assert bench.told[told:] == []


async def test_who_waits_for_fresh_state_gets_it_when_the_store_is_back(bench: Harness) -> None:
    bench.log.away = True
    bench.clock.advance(6)
    waits = [asyncio.create_task(bench.follower.fresh()) for _ in range(3)]
    await bench.woken()
    assert not any(task.done() for task in waits)
    bench.log.away, bench.log.standing = False, snapshot(75, version=2)
    await bench.woken()
    assert await asyncio.gather(*waits) == [snapshot(75, version=2)] * 3


async def test_an_emptied_log_goes_stale(bench: Harness) -> None:
    bench.log.standing = None
    bench.clock.advance(6)
    await bench.woken()
    assert not bench.follower.is_fresh()


async def test_the_age_counts_from_before_the_read(bench: Harness) -> None:
    real = bench.log.last

    async def slow() -> tuple[int, Snapshot] | None:
        bench.clock.advance(6)
        return await real()

    bench.log.last = slow
    await bench.woken()
    assert not bench.follower.is_fresh()


async def test_a_suppression_list_that_cannot_be_read_is_tried_again(bench: Harness) -> None:
    bench.followed.away = True
    await bench.woken()
    bench.followed.away = False
    heartbeats = len(bench.replicas.heartbeats)
    await bench.woken()
    assert len(bench.replicas.heartbeats) == heartbeats + 1


async def test_a_bug_in_the_loop_is_the_end_of_the_process(bench: Harness) -> None:
    async def broken() -> None:
        raise KeyError("phase")

    bench.log.last = broken
    bench.follower.wake()
    assert isinstance(await asyncio.wait_for(bench.background.failed(), 5), KeyError)


@pytest.mark.parametrize("away", [False, True])
async def test_a_clean_end_takes_the_heartbeat_away(away: bool) -> None:  # noqa: FBT001 - a parameter
    made = Harness()
    await made.follower.start()
    made.replicas.away = away
    await made.follower.stop()
    await made.follower.stop()
    assert made.replicas.gone == ([] if away else ["us"])


# --- the first start -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percentage", "phase"),
    [
        (0, Phase.NOT_STARTED),
        (1, Phase.PARALLEL_SETUP),
        (5, Phase.PARALLEL_SETUP),
        (6, Phase.GRADUAL_MIGRATION),
        (75, Phase.GRADUAL_MIGRATION),
        (76, Phase.LEGACY_DEPRECATION),
        (99, Phase.LEGACY_DEPRECATION),
        (100, Phase.COMPLETE_MIGRATION),
    ],
)
async def test_the_first_start_seeds_the_log(percentage: int, phase: Phase) -> None:
    log = Log()
    found = await seed(log, Flags(), percentage, user="worker", now=EPOCH)
    (entry,) = log.entries
    assert (found.phase, found.percentage, found.version) == (phase, percentage, 1)
    assert (entry.before, entry.after, entry.user) == (None, found, "worker")


@pytest.mark.parametrize("percentage", range(101))
async def test_a_seed_is_within_the_range_of_its_phase(percentage: int) -> None:
    found = await seed(Log(), Flags(), percentage, user="worker", now=EPOCH)
    assert found.flags.phases[found.phase].allows(percentage)


@pytest.mark.parametrize(
    ("percentage", "phase"),
    [
        (1, Phase.GRADUAL_MIGRATION),
        (2, Phase.PARALLEL_SETUP),
        (40, Phase.PARALLEL_SETUP),
        (41, Phase.GRADUAL_MIGRATION),
        (90, Phase.COMPLETE_MIGRATION),
    ],
)
async def test_a_seed_begins_in_the_first_phase_configured_to_hold_it(
    percentage: int, phase: Phase
) -> None:
    ranges = {
        Phase.PARALLEL_SETUP: (2, 40),
        Phase.GRADUAL_MIGRATION: (0, 75),
        Phase.LEGACY_DEPRECATION: (0, 80),
        Phase.COMPLETE_MIGRATION: (85, 100),
    }
    rules = {
        at: replace(DEFAULT_RULES[at], low=low, high=high) for at, (low, high) in ranges.items()
    }
    flags = Flags(phases={**DEFAULT_RULES, **rules})
    found = await seed(Log(), flags, percentage, user="worker", now=EPOCH)
    assert found.phase is phase
    with pytest.raises(ValueError, match="range of a phase, got 82"):
        await seed(Log(), flags, 82, user="worker", now=EPOCH)


async def test_later_starts_ignore_the_file() -> None:
    log = Log(snapshot(50, version=9))
    assert await seed(log, Flags(), 0, user="worker", now=EPOCH) == snapshot(50, version=9)
    assert log.entries == []


async def test_of_two_first_starts_one_seeds() -> None:
    log = Log()
    log.first_by_another = snapshot(1)
    assert await seed(log, Flags(), 0, user="worker", now=EPOCH) == snapshot(1)


async def test_a_waiter_that_is_cancelled_leaves_the_others_waiting(bench: Harness) -> None:
    bench.log.away = True
    bench.clock.advance(6)
    gone, stays = (asyncio.create_task(bench.follower.fresh()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await quietly(gone)
    bench.log.away = False
    await bench.woken()
    assert await stays == snapshot(25)
