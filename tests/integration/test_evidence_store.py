"""Checkpoints of the monitor on a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import EPOCH
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.detection.criteria import Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.tick import ProviderTick, Tick
from worker.store.evidence import COLLECTION, EvidenceStore

if TYPE_CHECKING:
    from worker.store.client import Database

KNOWN = observe(
    Evidence(),
    Tick(7.0, ProviderTick(EventCounts(3, 30)), ProviderTick(EventCounts(1, 90))),
    Criteria(25, 0.0),
)
FIRST = Checkpoint(1, EPOCH, KNOWN, {"legacy 10": {"accepted": 3}}, "hold: x", HoldReason.ACCOUNT)


@pytest.fixture
def store(database_here: Database) -> EvidenceStore:
    return EvidenceStore(database_here[COLLECTION])


async def test_a_checkpoint_comes_back_as_it_was_written(store: EvidenceStore) -> None:
    assert await store.read("l") is None
    assert await store.write("l", FIRST)
    found = await store.read("l")
    assert found is not None
    assert replace(found, age_s=0.0) == FIRST


async def test_of_many_who_write_a_tick_one_owns_it(store: EvidenceStore) -> None:
    for tick in (1, 2):
        made = replace(FIRST, tick=tick)
        assert sum(await asyncio.gather(*(store.write("l", made) for _ in range(8)))) == 1


async def test_how_old_it_is_the_server_says(store: EvidenceStore) -> None:
    await store.write("l", replace(FIRST, at=EPOCH + timedelta(days=3_650)))
    found = await store.read("l")
    assert found is not None
    assert 0.0 <= found.age_s < 60.0


async def test_a_hold_on_record_is_noted_unless_the_next_tick_was_made(
    store: EvidenceStore,
) -> None:
    await store.write("l", FIRST)
    await store.on_record("l", 1, HoldReason.ACCOUNT, EPOCH)
    await store.on_record("l", 2, HoldReason.COMMON_TROUBLE, EPOCH)
    found = await store.read("l")
    assert found is not None
    assert found.holds == {HoldReason.ACCOUNT: EPOCH}


async def test_evidence_of_another_method_begins_anew_and_counts_nothing_twice(
    store: EvidenceStore, database_here: Database
) -> None:
    await store.write("l", FIRST)
    other = {"method": 0, "evidence": {"something": "else"}, "topic": "unheard-of"}
    await database_here[COLLECTION].update_one({"_id": "l"}, {"$set": other})
    found = await store.read("l")
    assert found is not None
    assert (found.evidence, found.hold_reason) == (Evidence(), None)
    assert (found.tick, found.counted) == (FIRST.tick, FIRST.counted)
    assert await store.write("l", replace(FIRST, tick=2))
