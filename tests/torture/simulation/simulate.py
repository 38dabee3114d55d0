"""Runs a scenario from its beginning until everything has come to rest, and collects the facts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.torture.simulation import collected
from tests.torture.simulation.broker import project
from tests.torture.simulation.broker.driver import Driver
from tests.torture.simulation.clocks import MachineClock
from tests.torture.simulation.database.client import Client
from tests.torture.simulation.database.server import Server as Store
from tests.torture.simulation.periods import stretched
from tests.torture.simulation.seeded import seeded
from tests.torture.simulation.settings import settings
from tests.torture.simulation.steps import Steps
from tests.torture.simulation.virtual import run
from tests.torture.simulation.wire import Direct
from tests.torture.simulation.world import World
from worker.control.snapshot_follower import seed
from worker.domain.migration.flags import Flags
from worker.store import control_log, indexes
from worker.store.client import Database
from worker.store.control_log import ControlLogStore

if TYPE_CHECKING:
    import random

    from tests.torture.judge.facts import Facts
    from tests.torture.simulation.scenario import Scenario
    from tests.torture.simulation.world import Teller

LOOK_EVERY_S: Final = 4.0
QUIET_LOOKS: Final = 11
"""Looks in a row that find nothing under way: reports that match nothing yet are tried again."""
AT_REST_S: Final = 900.0
"""Time after the last step by which everything must have come to rest."""


def simulate(scenario: Scenario, teller: Teller | None = None) -> Facts:
    """The history of a scenario, as facts for the judge; `teller` writes down what happens."""
    with stretched(), seeded(scenario.seed) as chance:
        return run(_live(scenario, chance, teller))


async def _live(scenario: Scenario, chance: random.Random, teller: Teller | None) -> Facts:
    world = await _begin(scenario, chance, teller)
    driver = Driver(world.broker)
    for slot in range(scenario.processes):
        world.start(slot)
    last = Steps(world).schedule()
    await _rest(world, last)
    found = collected.facts(world)
    driver.stop()
    for process in world.processes.values():
        process.kill()
    return found


async def _begin(scenario: Scenario, chance: random.Random, teller: Teller | None) -> World:
    """A world with topology, indexes and a state in force."""
    clock, true = MachineClock(), MachineClock()
    store = Store(clock.now)
    database = Database(
        "mongodb://database/", "sms", timeout_s=5.0, client=partial(Client, store, Direct())
    )
    await indexes.create(database)
    log = ControlLogStore(database[control_log.COLLECTION], clock)
    await seed(log, Flags(), scenario.percentage, user="worker", now=clock.now())
    broker = project.server(true.seconds)
    return World(scenario, settings(), broker, store, clock, chance=chance, teller=teller)


async def _rest(world: World, last: float) -> None:
    """Wait until nothing has been under way for a while, or until it takes too long."""
    quiet = 0
    while quiet < QUIET_LOOKS and asyncio.get_running_loop().time() < last + AT_REST_S:
        await asyncio.sleep(LOOK_EVERY_S)
        world.look_after()
        world.store.tick()
        over = asyncio.get_running_loop().time() > last
        quiet = quiet + 1 if over and _is_quiet(world) else 0


def _is_quiet(world: World) -> bool:
    if world.callbacks.due or any(process.ended for process in world.processes.values()):
        return False
    return not any(collected.queued(world).values()) and not collected.unsettled(world)
