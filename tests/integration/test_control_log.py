"""The control log, over the real store and over the stand-in of the unit tests alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from tests.support.control_fakes import MemoryLog
from tests.support.fakes import EPOCH, HandClock, snapshot
from worker.clock import SystemClock
from worker.control.snapshot_follower import seed
from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.flags import Flags, MigrationSettings, Thresholds
from worker.domain.migration.phases import DEFAULT_RULES, Phase, Role, Rules
from worker.domain.migration.snapshot import AUTOMATIC, Lock, Proposal, Snapshot
from worker.domain.probes.settings import ValidationTraffic
from worker.ports.store import StoreUnavailable, WriteConflict
from worker.store import control_log
from worker.store.client import Database
from worker.store.control_log import ControlLogStore

if TYPE_CHECKING:
    from worker.ports.steering import ControlLog

FIRST = snapshot(0, Phase.NOT_STARTED)
RICH = Flags(
    target_enabled=False,
    automatic_rollback=False,
    thresholds=Thresholds(1.0, 99.0, 250.0),
    user_overrides=MappingProxyType({"a.b$c": Role.TARGET, "": Role.LEGACY, "$set": Role.TARGET}),
    branch_overrides=MappingProxyType({7: Role.TARGET, -(2**40): Role.LEGACY}),
    migration=MigrationSettings(
        auto_advance=True,
        notify=("a@b", "c@d"),
        metrics_retention_days=7,
        validation=ValidationTraffic(
            enabled=True, numbers=("+260971000001",), interval_s=30.0, providers=(Role.LEGACY,)
        ),
    ),
    phases=MappingProxyType({**DEFAULT_RULES, Phase.PARALLEL_SETUP: Rules(2, 1, 9, (2, 9))}),
)
STATE = replace(
    FIRST,
    flags=RICH,
    version=2,
    percentage=33,
    phase=Phase.GRADUAL_MIGRATION,
    legacy_retired=True,
    held=True,
    held_reason="ann (rollback at LegacyDeprecation at 90 %): complaints",
    anew=4,
    lock=Lock(EPOCH + timedelta(hours=1), "too many errors"),
    proposal=Proposal(2, "ann", Phase.LEGACY_DEPRECATION, 75, EPOCH),
    breaker_resets=MappingProxyType({Role.TARGET: 3}),
    last_percentages=MappingProxyType({Phase.PARALLEL_SETUP: 5}),
    backups=MappingProxyType({"before.$friday": 1}),
    started_at=EPOCH,
    since=EPOCH,
    initiated_by="ann",
    previous_phase=Phase.PARALLEL_SETUP,
    notes="why not",
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["memory", "mongod_here", "simulated_here"])
def log(request: pytest.FixtureRequest, clock: HandClock) -> ControlLog:
    if request.param == "memory":
        return MemoryLog(clock)
    opened: Database = request.getfixturevalue(request.param)
    return ControlLogStore(opened[control_log.COLLECTION], clock)


def entry(
    number: int, before: Snapshot | None, after: Snapshot, command: str | None = None
) -> LogEntry:
    return LogEntry(
        number,
        "ann",
        command or f"c-{number}",
        {"name": "test"},
        "accepted",
        before,
        after,
        {"code": "ok"},
        {"gates": []},
    )


def version(number: int, percentage: int = 1) -> Snapshot:
    return replace(FIRST, version=number, percentage=percentage)


async def test_an_empty_log_has_no_state(log: ControlLog) -> None:
    assert await log.last() is None


async def test_state_comes_back_as_it_was_appended(log: ControlLog) -> None:
    await log.append(entry(1, None, FIRST))
    await log.append(entry(2, FIRST, STATE))
    assert await log.last() == (2, STATE)


async def test_an_entry_comes_back_with_all_it_was_decided_on(
    log: ControlLog, clock: HandClock
) -> None:
    await log.append(entry(1, None, FIRST))
    await log.append(entry(2, FIRST, STATE))
    assert await log.history(9, None) == [
        replace(entry(2, FIRST, STATE), at=clock.now()),
        replace(entry(1, None, FIRST), at=clock.now()),
    ]


async def test_history_pages_backwards(log: ControlLog) -> None:
    await log.append(entry(1, None, FIRST))
    for number in (2, 3, 4):
        await log.append(entry(number, FIRST, FIRST))
    assert [found.number for found in await log.history(2, None)] == [4, 3]
    assert [found.number for found in await log.history(2, 3)] == [2, 1]


async def test_an_entry_on_a_state_that_changed_clashes(log: ControlLog) -> None:
    await log.append(entry(1, None, FIRST))
    await log.append(entry(2, FIRST, version(2)))
    with pytest.raises(WriteConflict):
        await log.append(entry(2, FIRST, version(2, 5), "c-3"))
    assert await log.last() == (2, version(2))


async def test_one_command_is_appended_once(log: ControlLog) -> None:
    await log.append(entry(1, None, FIRST))
    await log.append(entry(2, FIRST, version(2)))
    with pytest.raises(WriteConflict):
        await log.append(entry(3, version(2), version(3), "c-2"))
    assert await log.last() == (2, version(2))


async def test_a_command_is_found_by_its_user_and_id(log: ControlLog) -> None:
    await log.append(entry(1, None, FIRST))
    found = await log.find("ann", "c-1")
    assert found is not None
    assert found.reply == {"code": "ok"}
    assert await log.find("bob", "c-1") is None
    assert await log.find("ann", "c-9") is None


async def test_the_state_of_a_version_is_that_of_its_change(log: ControlLog) -> None:
    await log.append(entry(1, None, FIRST))
    await log.append(entry(2, FIRST, FIRST))  # a refusal raises nothing
    await log.append(entry(3, FIRST, version(2)))
    assert await log.state_at(1) == FIRST
    assert await log.state_at(2) == version(2)
    assert await log.state_at(3) is None


async def test_known_good_is_the_last_version_that_stood_long_enough(
    log: ControlLog, clock: HandClock
) -> None:
    for number, minutes in ((1, 45), (2, 31), (3, 5), (4, 60)):
        before = version(number - 1) if number > 1 else None
        await log.append(entry(number, before, version(number)))
        clock.advance(minutes * 60)
    assert await log.known_good(1800) == version(2)
    assert await log.known_good(3600) is None


def held(number: int, state: Snapshot, user: str = AUTOMATIC) -> LogEntry:
    """Automation holds; a refusal of a person looks much the same."""
    return replace(entry(number, state, state), user=user, command={"name": "hold"})


async def test_a_version_that_automation_ended_by_going_down_is_not_known_good(
    log: ControlLog, clock: HandClock
) -> None:
    down = replace(version(3), automatic_downs=(EPOCH,))
    last = replace(down, version=4)
    for number, before, after in (
        (1, None, version(1)), (2, version(1), version(2)), (3, version(2), down), (4, down, last)
    ):  # fmt: skip
        await log.append(entry(number, before, after))
        clock.advance(60 * 60 if number != 3 else 60)
    assert await log.known_good(1800) == version(1)


async def test_a_version_under_which_automation_held_is_not_known_good(
    log: ControlLog, clock: HandClock
) -> None:
    await log.append(entry(1, None, version(1)))
    await log.append(held(2, version(1), "ann"))
    clock.advance(3600)
    await log.append(entry(3, version(1), version(2)))
    await log.append(held(4, version(2)))
    clock.advance(3600)
    await log.append(entry(5, version(2), version(3)))
    await log.append(held(6, version(3)))
    assert await log.known_good(1800) == version(1)


async def test_the_state_of_a_time_is_the_one_in_force_then(
    log: ControlLog, clock: HandClock
) -> None:
    begun = clock.now()
    await log.append(entry(1, None, version(1)))
    clock.advance(60)
    await log.append(entry(2, version(1), version(1)))  # a refusal changes nothing
    await log.append(entry(3, version(1), version(2)))
    assert await log.state_on(begun - timedelta(seconds=1)) is None
    assert await log.state_on(begun) == version(1)
    assert await log.state_on(clock.now() - timedelta(seconds=1)) == version(1)
    assert await log.state_on(clock.now() + timedelta(days=1)) == version(2)


async def test_moves_are_what_changed_the_share_the_newest_first(
    log: ControlLog, clock: HandClock
) -> None:
    begun = clock.now()
    states = [version(1), version(2, 5), replace(version(3, 5), held=True)]
    states.append(replace(states[2], version=4, flags=Flags(target_enabled=False)))
    states.append(replace(states[3], version=5, phase=Phase.ROLLBACK))
    await log.append(entry(1, None, states[0]))
    for number, (before, after) in enumerate(pairwise(states), 2):
        clock.advance(60)
        await log.append(entry(number, before, after))
    await log.append(entry(6, states[-1], states[-1]))
    assert [each.number for each in await log.moves(begun, 9)] == [5, 4, 2]
    assert [each.number for each in await log.moves(begun, 2)] == [5, 4]
    assert [each.number for each in await log.moves(clock.now(), 9)] == []
    everything = await log.moves(begun - timedelta(seconds=1), 9)
    assert [each.number for each in everything] == [5, 4, 2, 1]


async def test_moves_are_found_without_reading_what_is_older(
    mongod_here: Database, clock: HandClock
) -> None:
    log = ControlLogStore(mongod_here[control_log.COLLECTION], clock)
    await log.append(entry(1, None, version(1)))
    for number in range(2, 40):
        clock.advance(60)
        await log.append(entry(number, version(number - 1), version(number, number % 2)))
    query = {"changed": True, "at": {"$gt": clock.now() - timedelta(minutes=5)}}
    asked = {"find": control_log.COLLECTION, "filter": query, "sort": {"at": -1, "_id": -1}}
    plan = await mongod_here.db.command("explain", asked, verbosity="executionStats")
    assert plan["executionStats"]["totalDocsExamined"] == 5


async def test_of_many_at_once_one_is_appended(log: ControlLog) -> None:
    await log.append(entry(1, None, FIRST))
    rivals = [log.append(entry(2, FIRST, version(2, n), f"r-{n}")) for n in range(20)]
    ends = await asyncio.gather(*rivals, return_exceptions=True)
    assert sum(isinstance(end, WriteConflict) for end in ends) == 19
    last = await log.last()
    assert last is not None
    assert last[1].percentage == ends.index(None)


async def test_of_many_first_starts_one_seeds_and_all_agree(
    log: ControlLog, clock: HandClock
) -> None:
    starts = (seed(log, Flags(), 25, user="worker", now=clock.now()) for _ in range(10))
    found = await asyncio.gather(*starts)
    assert found == [found[0]] * 10
    assert (found[0].phase, found[0].percentage) == (Phase.GRADUAL_MIGRATION, 25)


async def test_a_store_that_is_away_says_so() -> None:
    away = Database("mongodb://127.0.0.1:1/?directConnection=true", "away", timeout_s=0.2)
    log = ControlLogStore(away[control_log.COLLECTION], SystemClock())
    for asked in (log.last(), log.append(entry(1, None, FIRST)), log.find("ann", "c")):
        with pytest.raises(StoreUnavailable):
            await asked
    await away.close()
