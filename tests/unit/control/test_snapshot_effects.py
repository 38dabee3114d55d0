"""What a replica does when another state comes into force."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import snapshot
from tests.support.waiting import until
from worker.control.snapshot_effects import SnapshotEffects
from worker.domain.migration.flags import MigrationSettings, Thresholds
from worker.domain.migration.phases import Role
from worker.ports.store import StoreUnavailable
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FIRST = snapshot(25, version=1)


class Breaker:
    def __init__(self) -> None:
        self.resets: list[str] = []

    def reset(self, reason: str) -> None:
        self.resets.append(reason)


@dataclass
class Slots:
    retention_days: int = 1
    retained: list[int] = field(default_factory=list)
    failures: int = 0

    async def retain(self, days: int) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("test")
        self.retained.append(days)


class AttemptMetrics:
    slow_ms = 1.0


class Harness:
    def __init__(self) -> None:
        self.breakers = {role: Breaker() for role in Role}
        self.book, self.slots, self.background = AttemptMetrics(), Slots(), Background()
        self.follow = SnapshotEffects(self.breakers, self.book, self.slots, self.background)

    @property
    def resets(self) -> dict[str, list[str]]:
        return {str(role): found.resets for role, found in self.breakers.items() if found.resets}


@pytest.fixture
async def bench() -> AsyncIterator[Harness]:
    made = Harness()
    yield made
    await made.background.stop()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def with_resets(count: int) -> object:
    resets = MappingProxyType({Role.TARGET: count})
    return replace(
        FIRST, version=1 + count, breaker_resets=resets, initiated_by="ann", notes="fixed"
    )


async def test_one_reset_more_closes_that_breaker_alone(bench: Harness) -> None:
    bench.follow(FIRST, with_resets(1))
    assert bench.resets == {"target": ["ann: fixed"]}


async def test_the_same_count_closes_nothing_again(bench: Harness) -> None:
    bench.follow(with_resets(1), replace(with_resets(1), version=9))
    assert bench.resets == {}


async def test_a_replica_that_starts_or_meets_another_log_closes_nothing(bench: Harness) -> None:
    bench.follow(None, with_resets(3))
    bench.follow(FIRST, replace(with_resets(3), lineage="another"))
    assert bench.resets == {}


async def test_thresholds_and_retention_follow_the_flags(bench: Harness) -> None:
    flags = replace(
        FIRST.flags,
        thresholds=Thresholds(max_response_ms=777.0),
        migration=MigrationSettings(metrics_retention_days=7),
    )
    bench.follow(None, replace(FIRST, flags=flags))
    assert (bench.book.slow_ms, bench.slots.retention_days) == (777.0, 7)
    await turns()
    assert bench.slots.retained == []  # nothing changed: old documents are as they should be
    bench.follow(replace(FIRST, flags=flags), replace(FIRST, version=2))
    await turns()
    assert bench.slots.retained == [30]


async def test_retention_waits_for_the_store(
    bench: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.control.snapshot_effects.RETRY_S", 0)
    bench.slots.failures = 2
    changed = replace(FIRST.flags, migration=MigrationSettings(metrics_retention_days=7))
    bench.follow(FIRST, replace(FIRST, version=2, flags=changed))
    await until(lambda: bench.slots.retained, 5)
    assert bench.slots.retained == [7]
