"""What is in force on this replica: swapped whole, never backwards, never too old to send by."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fakes import EPOCH, Guard, HandClock, quietly, snapshot

from worker.control.sync import Sync, seed
from worker.domain.flags import Flags, Snapshot
from worker.domain.phases import Phase
from worker.ports import Clash, Heartbeat, LogEntry, StoreAway
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import Callable


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
            raise StoreAway("test")
        return (self.reads, self.standing) if self.standing else None

    async def append(self, entry: LogEntry) -> None:
        if self.first_by_another is not None:
            self.standing = self.first_by_another
            raise Clash
        self.entries.append(entry)
        self.standing = entry.after


class Replicas:
    def __init__(self) -> None:
        self.beats: list[Heartbeat] = []
        self.gone: list[str] = []
        self.count = 2
        self.away = False

    async def beat(self, heartbeat: Heartbeat) -> None:
        self.beats.append(heartbeat)

    async def live(self) -> int:
        return self.count

    async def leave(self, replica: str) -> None:
        if self.away:
            raise StoreAway("test")
        self.gone.append(replica)


class Followed:
    def __init__(self) -> None:
        self.times = 0
        self.away = False

    async def follow(self) -> None:
        self.times += 1
        if self.away:
            raise StoreAway("test")


class Bench:
    def __init__(self, standing: Snapshot | None = None) -> None:
        self.clock = HandClock()
        self.log = Log(standing or snapshot(25))
        self.replicas, self.followed, self.guard = Replicas(), Followed(), Guard("at")
        self.told: list[bool] = []
        self.swaps: list[tuple[Snapshot | None, Snapshot]] = []
        self.background = Background()
        self.sync = Sync(
            log=self.log,
            replicas=self.replicas,
            followed=(self.followed,),
            guards=(self.guard,),
            clock=self.clock,
            background=self.background,
            max_age_s=5.0,
            beat=lambda applied: Heartbeat("us", applied, None, {}, {}, 0, consuming=True),
            stale=self.told.append,
            swapped=lambda *swap: self.swaps.append(swap),
        )

    async def woken(self) -> None:
        """One more round, begun by a wake-up."""
        before = len(self.told), self.log.reads
        self.sync.wake()
        await until(lambda: self.log.reads > before[1])
        for _ in range(5):
            await asyncio.sleep(0)


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not fact():
            await asyncio.sleep(0)


@pytest.fixture
async def bench() -> object:
    made = Bench()
    await made.sync.start()
    yield made
    await made.sync.stop()
    await made.background.stop()


async def test_a_started_replica_has_state_heartbeat_and_share(bench: Bench) -> None:
    assert bench.sync.current == snapshot(25)
    assert bench.sync.is_fresh()
    assert (bench.replicas.beats[0].applied, bench.guard.replicas) == (1, 2)
    assert bench.followed.times == 1


async def test_a_start_without_the_store_fails() -> None:
    made = Bench()
    made.log.away = True
    with pytest.raises(StoreAway):
        await made.sync.start()
    await made.sync.stop()  # safe when never started


async def test_a_wake_up_reads_at_once(bench: Bench) -> None:
    bench.log.standing = snapshot(50, version=2)
    await bench.woken()
    assert bench.sync.current == snapshot(50, version=2)
    assert bench.replicas.beats[-1].applied == 2


async def test_the_state_is_read_again_without_a_wake_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.control.sync.EVERY_S", 0.01)
    await bench.woken()
    reads = bench.log.reads
    await until(lambda: bench.log.reads >= reads + 3)


async def test_a_wake_up_that_comes_while_a_round_is_under_way_begins_another(
    bench: Bench,
) -> None:
    real, woken = bench.replicas.beat, False

    async def slow(heartbeat: Heartbeat) -> None:
        nonlocal woken
        await real(heartbeat)
        if not woken:  # the state changed after it was read, and a wake-up said so
            woken = True
            bench.log.standing = snapshot(50, version=2)
            bench.sync.wake()

    bench.replicas.beat = slow  # type: ignore[method-assign]
    bench.sync.wake()
    await until(lambda: woken)
    async with asyncio.timeout(0.5):  # well before the second is over
        while bench.sync.current != snapshot(50, version=2):
            await asyncio.sleep(0)


async def test_each_swap_is_told_with_what_was_before(bench: Bench) -> None:
    bench.log.standing = snapshot(50, version=2)
    await bench.woken()
    await bench.woken()
    assert bench.swaps == [
        (None, snapshot(25)),
        (snapshot(25), snapshot(50, version=2)),
    ]


async def test_the_same_state_is_the_same_object(bench: Bench) -> None:
    before = bench.sync.current
    bench.log.standing = snapshot(25)
    await bench.woken()
    assert bench.sync.current is before


async def test_an_older_version_of_the_same_lineage_is_ignored(bench: Bench) -> None:
    bench.log.standing = snapshot(50, version=3)
    await bench.woken()
    bench.log.standing = snapshot(10, version=2)
    await bench.woken()
    assert bench.sync.current == snapshot(50, version=3)


async def test_another_lineage_counts_anew(bench: Bench) -> None:
    bench.log.standing = snapshot(50, version=3)
    await bench.woken()
    other = replace(snapshot(10, version=1), lineage="restored")
    bench.log.standing = other
    await bench.woken()
    assert bench.sync.current == other


async def test_after_five_seconds_without_the_store_nothing_is_sent_by_it(bench: Bench) -> None:
    bench.log.away = True
    bench.clock.advance(4.9)
    await bench.woken()
    assert bench.sync.is_fresh()
    bench.clock.advance(0.1)
    await bench.woken()
    assert not bench.sync.is_fresh()
    assert bench.told[-1] is True


async def test_a_store_that_did_not_answer_is_not_reported_as_back(bench: Bench) -> None:
    await bench.woken()
    told = len(bench.told)
    bench.log.away = True
    await bench.woken()
    assert bench.sync.is_fresh()
    assert bench.told[told:] == []


async def test_who_waits_for_fresh_state_gets_it_when_the_store_is_back(bench: Bench) -> None:
    bench.log.away = True
    bench.clock.advance(6)
    waits = [asyncio.create_task(bench.sync.fresh()) for _ in range(3)]
    await bench.woken()
    assert not any(task.done() for task in waits)
    bench.log.away, bench.log.standing = False, snapshot(75, version=2)
    await bench.woken()
    assert await asyncio.gather(*waits) == [snapshot(75, version=2)] * 3


async def test_an_emptied_log_goes_stale(bench: Bench) -> None:
    bench.log.standing = None
    bench.clock.advance(6)
    await bench.woken()
    assert not bench.sync.is_fresh()


async def test_the_age_counts_from_before_the_read(bench: Bench) -> None:
    real = bench.log.last

    async def slow() -> tuple[int, Snapshot] | None:
        bench.clock.advance(6)
        return await real()

    bench.log.last = slow  # type: ignore[method-assign]
    await bench.woken()
    assert not bench.sync.is_fresh()


async def test_a_suppression_list_that_cannot_be_read_is_tried_again(bench: Bench) -> None:
    bench.followed.away = True
    await bench.woken()
    bench.followed.away = False
    beats = len(bench.replicas.beats)
    await bench.woken()
    assert len(bench.replicas.beats) == beats + 1


async def test_a_bug_in_the_loop_is_the_end_of_the_process(bench: Bench) -> None:
    async def broken() -> None:
        raise KeyError("phase")

    bench.log.last = broken  # type: ignore[method-assign, assignment]
    bench.sync.wake()
    assert isinstance(await asyncio.wait_for(bench.background.failed(), 5), KeyError)


@pytest.mark.parametrize("away", [False, True])
async def test_a_clean_end_takes_the_heartbeat_away(away: bool) -> None:  # noqa: FBT001 - a parameter
    made = Bench()
    await made.sync.start()
    made.replicas.away = away
    await made.sync.stop()
    await made.sync.stop()
    assert made.replicas.gone == ([] if away else ["us"])


# --- the first start -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percentage", "phase"),
    [
        (0, Phase.NOT_STARTED),
        (1, Phase.PARALLEL_SETUP),
        (5, Phase.PARALLEL_SETUP),
        (6, Phase.GRADUAL_MIGRATION),
        (99, Phase.GRADUAL_MIGRATION),
        (100, Phase.COMPLETE_MIGRATION),
    ],
)
async def test_the_first_start_seeds_the_log(percentage: int, phase: Phase) -> None:
    log = Log()
    found = await seed(log, Flags(), percentage, user="worker", now=EPOCH)
    (entry,) = log.entries
    assert (found.phase, found.percentage, found.version) == (phase, percentage, 1)
    assert (entry.before, entry.after, entry.user) == (None, found, "worker")


async def test_later_starts_ignore_the_file() -> None:
    log = Log(snapshot(50, version=9))
    assert await seed(log, Flags(), 0, user="worker", now=EPOCH) == snapshot(50, version=9)
    assert log.entries == []


async def test_of_two_first_starts_one_seeds() -> None:
    log = Log()
    log.first_by_another = snapshot(1)
    assert await seed(log, Flags(), 0, user="worker", now=EPOCH) == snapshot(1)


async def test_a_waiter_that_is_cancelled_leaves_the_others_waiting(bench: Bench) -> None:
    bench.log.away = True
    bench.clock.advance(6)
    gone, stays = (asyncio.create_task(bench.sync.fresh()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await quietly(gone)
    bench.log.away = False
    await bench.woken()
    assert await stays == snapshot(25)
