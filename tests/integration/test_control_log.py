"""The control log on the real store: one insert is compare-and-set and history."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from tests.unit.fakes import snapshot
from worker.clock import SystemClock
from worker.control.sync import seed
from worker.domain.flags import Flags, MigrationSettings, Snapshot, Thresholds
from worker.domain.phases import Phase, Role
from worker.ports import Clash, LogEntry, StoreAway
from worker.store import control_log, indexes
from worker.store.client import Database
from worker.store.control_log import ControlLogStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FIRST = snapshot(0, Phase.NOT_STARTED)
RICH = Flags(
    target_enabled=False,
    automatic_rollback=False,
    thresholds=Thresholds(1.0, 99.0, 250.0),
    user_overrides=MappingProxyType({"a.b$c": Role.TARGET, "": Role.LEGACY, "$set": Role.TARGET}),
    branch_overrides=MappingProxyType({7: Role.TARGET, -(2**40): Role.LEGACY}),
    migration=MigrationSettings(auto_advance=True, notify=("a@b", "c@d"), metrics_retention_days=7),
)


@pytest.fixture
async def database_here(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    opened = Database(mongo_url, database_name, timeout_s=5)
    await indexes.create(opened)
    yield opened
    await opened.db.client.drop_database(database_name)
    await opened.close()


@pytest.fixture
def log(database_here: Database) -> ControlLogStore:
    return ControlLogStore(database_here[control_log.COLLECTION], SystemClock())


def entry(before: Snapshot | None, after: Snapshot, command: str = "c-1") -> LogEntry:
    return LogEntry("ann", command, {"name": "test"}, before, after, "because")


async def test_an_empty_log_has_no_state(log: ControlLogStore) -> None:
    assert await log.last() is None


async def test_state_comes_back_as_it_was_appended(log: ControlLogStore) -> None:
    rich = replace(FIRST, flags=RICH, version=2, percentage=33, phase=Phase.GRADUAL_MIGRATION)
    await log.append(entry(None, FIRST))
    assert await log.append(entry(FIRST, rich, "c-2")) == rich
    assert await log.last() == rich


async def test_entries_are_numbered_and_keep_what_was_before(
    log: ControlLogStore, database_here: Database
) -> None:
    second = replace(FIRST, version=2, percentage=1)
    await log.append(entry(None, FIRST))
    await log.append(entry(FIRST, second, "c-2"))
    one, two = await database_here[control_log.COLLECTION].find().sort("_id").to_list(None)
    assert (one["_id"], two["_id"], one["before"]) == (1, 2, None)
    assert two["before"] == one["after"]
    assert (two["user"], two["command"], two["reason"]) == ("ann", {"name": "test"}, "because")


async def test_an_entry_on_a_state_that_changed_clashes(log: ControlLogStore) -> None:
    second = replace(FIRST, version=2)
    await log.append(entry(None, FIRST))
    await log.append(entry(FIRST, second, "c-2"))
    with pytest.raises(Clash):
        await log.append(entry(FIRST, replace(FIRST, version=2, percentage=5), "c-3"))
    assert await log.last() == second


async def test_one_command_is_appended_once(log: ControlLogStore) -> None:
    second, third = replace(FIRST, version=2), replace(FIRST, version=3)
    await log.append(entry(None, FIRST))
    await log.append(entry(FIRST, second, "c-2"))
    with pytest.raises(Clash):
        await log.append(entry(second, third, "c-2"))
    assert await log.last() == second


async def test_of_many_at_once_one_is_appended(log: ControlLogStore) -> None:
    await log.append(entry(None, FIRST))
    rivals = [
        log.append(entry(FIRST, replace(FIRST, version=2, percentage=n), f"r-{n}"))
        for n in range(20)
    ]
    ends = await asyncio.gather(*rivals, return_exceptions=True)
    (winner,) = (end for end in ends if isinstance(end, Snapshot))
    assert sum(isinstance(end, Clash) for end in ends) == 19
    assert await log.last() == winner


async def test_of_many_first_starts_one_seeds_and_all_agree(log: ControlLogStore) -> None:
    found = await asyncio.gather(*(seed(log, Flags(), 25, user="worker") for _ in range(10)))
    assert found == [found[0]] * 10
    assert (found[0].phase, found[0].percentage) == (Phase.GRADUAL_MIGRATION, 25)


async def test_a_store_that_is_away_says_so() -> None:
    away = Database("mongodb://127.0.0.1:1/?directConnection=true", "away", timeout_s=0.2)
    log = ControlLogStore(away[control_log.COLLECTION], SystemClock())
    for asked in (log.last(), log.append(entry(None, FIRST))):
        with pytest.raises(StoreAway):
            await asked
    await away.close()
