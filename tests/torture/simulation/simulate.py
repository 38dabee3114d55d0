"""Runs a scenario from its beginning until everything has come to rest, and collects the facts."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from tests.torture.simulation import collected
from tests.torture.simulation.broker import project
from tests.torture.simulation.broker.driver import Driver
from tests.torture.simulation.clocks import MachineClock
from tests.torture.simulation.database.client import Client
from tests.torture.simulation.database.server import Server as Store
from tests.torture.simulation.outside import LIVES_S
from tests.torture.simulation.periods import STALE_S, stretched
from tests.torture.simulation.seeded import seeded
from tests.torture.simulation.steps import Steps
from tests.torture.simulation.virtual import run
from tests.torture.simulation.wire import Direct
from tests.torture.simulation.world import World
from worker.control.snapshot_follower import seed
from worker.domain.migration.flags import Flags
from worker.settings.model import Settings
from worker.settings.providers import ProviderKind, ProviderSettings
from worker.store import control_log, indexes
from worker.store.client import Database
from worker.store.control_log import ControlLogStore

if TYPE_CHECKING:
    import random

    from tests.torture.judge.facts import Facts
    from tests.torture.simulation.scenario import Scenario

LOOK_EVERY_S: Final = 4.0
AT_REST_S: Final = 900.0
"""Time after the last step by which everything must have come to rest."""
DEADLINE_S: Final = 3.0


def simulate(scenario: Scenario) -> Facts:
    """The history of a scenario, as facts for the judge."""
    with stretched(), seeded(scenario.seed) as chance:
        return run(_live(scenario, chance))


async def _live(scenario: Scenario, chance: random.Random) -> Facts:
    world = await _begin(scenario, chance)
    driver = Driver(world.broker)
    world.outside.listen()
    for slot in range(scenario.processes):
        world.start(slot)
    last = Steps(world).schedule()
    await _rest(world, last)
    found = collected.facts(world)
    driver.stop()
    for process in world.processes.values():
        process.kill()
    return found


async def _begin(scenario: Scenario, chance: random.Random) -> World:
    """A world with topology, indexes and a state in force."""
    clock = MachineClock()
    store = Store(clock.now)
    database = Database(
        "mongodb://database/", "sms", timeout_s=5.0, client=partial(Client, store, Direct())
    )
    await indexes.create(database)
    log = ControlLogStore(database[control_log.COLLECTION], clock)
    await seed(log, Flags(), scenario.percentage, user="worker", now=clock.now())
    broker = project.server(clock.seconds, delivery_limit=scenario.delivery_limit)
    return World(scenario, settings(), broker, store, clock, chance)


async def _rest(world: World, last: float) -> None:
    """Wait until nothing is under way, seen twice in a row; or until it takes too long."""
    quiet = 0
    while quiet < 2 and asyncio.get_running_loop().time() < last + AT_REST_S:
        await asyncio.sleep(LOOK_EVERY_S)
        world.look_after()
        over = asyncio.get_running_loop().time() > last
        quiet = quiet + 1 if over and _is_quiet(world) else 0


def _is_quiet(world: World) -> bool:
    if world.reports_due or any(process.ended for process in world.processes.values()):
        return False
    return not any(collected.queued(world).values()) and not collected.unsettled(world)


@cache
def settings() -> Settings:
    """The settings of every process: as in production, but with shorter times."""
    account = {
        "kind": ProviderKind.HTTP,
        "preset": "json-basic",
        "base_url": "http://127.0.0.1:9",
        "deadline_s": DEADLINE_S,
        "connect_timeout_s": 1.0,
    }
    return Settings(
        AMQP_URL=SecretStr("amqp://worker:secret@broker/"),
        MONGO_URL=SecretStr("mongodb://database/"),
        hash_key=SecretStr("a key for tests"),
        target=ProviderSettings(id="africastalking", **account),
        legacy=ProviderSettings(id="legacy", **account),
        life_transactional_s=LIVES_S["transactional"],
        life_bulk_s=LIVES_S["bulk"],
        rounds_bulk=6,
        lease_margin_s=5.0,
        snapshot_max_age_s=STALE_S,
        drain_grace_s=6.0,
        store_timeout_s=2.0,
        delivery_age_s=30.0,
        report_deadline_s=600.0,
        roles={"ann": "administrator", "bob": "administrator"},
    )
