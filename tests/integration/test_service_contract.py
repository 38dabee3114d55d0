"""Every service keeps the contract of `Service`: it ends whenever it is told to, and whole.

The services are those of a whole worker, on real servers, in the order in which `worker.app` lists
them; so whatever is added there is held to it.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from tests.integration.control_bench import settings
from worker.app.edges import edges_of
from worker.app.services import Worker, build
from worker.store.client import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from worker.settings.model import Settings

pytestmark = pytest.mark.usefixtures("empty_queues")
TIMES = 12
LONGEST_S = 1.0
"""A start takes less than that; most interruptions come in its middle."""
WITHIN_S = 20.0
LOGIN = {"username": "ann", "secret": SecretStr("a secret for tests")}


@pytest.fixture
async def cfg(
    amqp_url: Callable[[str], str], mongo_url: str, database_name: str
) -> AsyncIterator[Settings]:
    base = settings(amqp_url("worker"), mongo_url, database_name)
    accounts = {role: getattr(base, role).model_copy(update=LOGIN) for role in ("target", "legacy")}
    yield base.model_copy(update=accounts)
    database = Database(mongo_url, database_name, timeout_s=5)
    await database.db.client.drop_database(database_name)
    await database.close()


def tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_each_service_may_be_stopped_again_and_again_though_it_never_started(
    cfg: Settings,
) -> None:
    before, worker = tasks(), Worker(cfg, "test", edges_of(cfg))
    for service in reversed(worker.services()):
        await service.stop()
        await service.stop()
    await worker.runtime.background.stop()
    assert tasks() <= before


async def test_each_service_may_be_drained_and_stopped_twice_after_its_start(
    cfg: Settings,
) -> None:
    before, worker = tasks(), Worker(cfg, "test", edges_of(cfg))
    services = worker.services()
    async with asyncio.timeout(WITHIN_S):
        for service in services:
            await service.start()
        for verb in ("drain", "drain", "stop", "stop"):
            for service in reversed(services):
                await getattr(service, verb)()
    await worker.runtime.background.stop()
    assert tasks() <= before


@pytest.mark.parametrize("seed", range(TIMES))
async def test_a_process_that_is_told_to_stop_at_any_moment_ends_and_leaves_no_task(
    cfg: Settings, seed: int
) -> None:
    before, stop = tasks(), asyncio.Event()
    asyncio.get_running_loop().call_later(random.Random(seed).uniform(0, LONGEST_S), stop.set)
    async with asyncio.timeout(WITHIN_S):
        await build(cfg, "test").run(stop)
    assert tasks() <= before
