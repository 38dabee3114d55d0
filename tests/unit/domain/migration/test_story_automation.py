"""The acceptance criteria for automatic rollback and for validation, one test each.

Traffic of two replicas at a quarter of the share; the monitor is alone with it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.monitor_fakes import BAD, LEGACY, OK, TARGET, World
from worker.domain.migration.flags import MigrationSettings, Thresholds
from worker.domain.migration.phases import Phase, Role
from worker.domain.migration.routing import decide

NUMBERS = [f"+26097{number:07d}" for number in range(200)]
DELIVERY_AGE_TICKS = 60


@pytest.fixture
async def world() -> World:
    made = World(proven=(5, 10))
    await made.begin()
    return made


def failing(made: World) -> None:
    """Africa's Talking takes nothing."""
    for number in range(100):
        target = number % 4 == 0
        made.attempt(TARGET if target else LEGACY, BAD if target else OK)


def slow(made: World) -> None:
    """It takes everything, half of it later than MaxResponseTimeMs."""
    for number in range(100):
        target = number % 4 == 0
        made.attempt(TARGET if target else LEGACY, OK, 6_000.0 if number % 8 == 0 else 100.0)


def undelivered(made: World) -> None:
    """It takes everything at once, and most of it arrives nowhere."""
    for number in range(100):
        target = number % 4 == 0
        made.attempt(TARGET if target else LEGACY, OK)
        arrived = not target or number % 20 == 0
        provider, number_of_its_own = TARGET if target else LEGACY, f"{made.recipients} {number}"
        made.books[0].judged(
            provider, delivered=arrived, eligible=True, recipient_hash=number_of_its_own
        )


@pytest.mark.parametrize("trouble", [failing, slow, undelivered])
async def test_automatic_rollback_triggers(world: World, trouble: object) -> None:
    await world.run(6, lambda: trouble(world))
    assert {"automatic-rollback", "automatic-step-back"} & set(world.decisions)
    assert world.state.percentage < 25
    assert world.state.lock is not None


async def test_instant_traffic_routing_back_to_legacy(world: World) -> None:
    before = [decide(number, None, None, world.state).preferred for number in NUMBERS]
    await world.run(1, lambda: failing(world))
    after = [decide(number, None, None, world.state).candidates for number in NUMBERS]
    assert Role.TARGET in before
    assert set(after) == {(Role.LEGACY,)}
    assert world.announced == [world.state.version]


async def test_rollback_state_management(world: World) -> None:
    await world.run(1, lambda: failing(world))
    state = world.state
    assert (state.phase, state.previous_phase) == (Phase.ROLLBACK, Phase.GRADUAL_MIGRATION)
    assert (state.initiated_by, state.last_percentages) == (
        "(monitor)",
        {Phase.GRADUAL_MIGRATION: 25},
    )


async def test_automated_health_checks_during_migration() -> None:
    made = World(migration=MigrationSettings(health_interval_min=5.0))
    await made.begin()
    await made.run(90, made.traffic((0, 1), (0, 3)), monitors=2)  # a quarter of an hour
    assert made.reports == 3
    made.faults = {TARGET: "authentication: credentials refused"}
    await made.run(1, made.traffic((0, 1), (0, 3)))
    assert made.decisions == ["hold"]


async def test_delivery_confirmation_validation(world: World) -> None:
    await world.run(1, lambda: undelivered(world))
    shown = world.log.entries[-1].evidence["shown"]
    assert "target 20 of 25, legacy 0 of 75" in shown["undelivered"]
    assert "undelivered: worse than legacy" in world.state.notes


async def test_performance_threshold_monitoring(world: World) -> None:
    await world.run(2, lambda: slow(world))
    assert "slow: worse than legacy" in world.state.notes


async def test_performance_thresholds_are_those_configured() -> None:
    tolerant = World(proven=(5, 10), thresholds=Thresholds(max_response_ms=8_000.0))
    for book in tolerant.books:
        book.slow_ms = (
            tolerant.first.flags.thresholds.max_response_ms
        )  # as `SnapshotEffects` sets it
    await tolerant.begin()
    await tolerant.run(6, lambda: slow(tolerant))
    assert tolerant.decisions == []


async def test_a_rollback_waits_for_nobody(world: World) -> None:
    held = replace(world.state, held=True)
    world.log.entries[-1] = replace(world.log.entries[-1], after=held)
    await world.run(1, lambda: failing(world))
    assert world.decisions == ["automatic-rollback"]
