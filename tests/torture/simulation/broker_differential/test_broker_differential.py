"""The simulated broker does what RabbitMQ does, in random scripts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aio_pika
import pytest

from tests.integration.conftest import amqp_url, broker
from tests.support import virtual_time
from tests.torture.simulation.broker import project
from tests.torture.simulation.broker.driver import Driver
from tests.torture.simulation.broker.opening import open_connection
from tests.torture.simulation.broker_differential import scripts
from tests.torture.simulation.broker_differential.player import Player
from tests.torture.simulation.wire import Direct

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker_differential.player import Seen
    from tests.torture.simulation.broker_differential.scripts import Step

__all__ = ["amqp_url", "broker"]  # fixtures
SEEDS = range(12)
LENGTH = 60


@pytest.fixture(scope="module")
def seen(amqp_url: Callable[[str], str]) -> dict[int, tuple[list[Seen], list[Seen]]]:
    """What the scripts showed on RabbitMQ and on the simulated broker, by seed."""
    played = {seed: scripts.draw(seed, LENGTH) for seed in SEEDS}
    expected = {
        seed: virtual_time.run(on_simulated(seed, script)) for seed, script in played.items()
    }
    found = asyncio.run(on_real(amqp_url("worker"), played, expected))
    return {seed: (found[seed], expected[seed]) for seed in SEEDS}


async def on_simulated(seed: int, script: list[Step]) -> list[Seen]:
    server = project.server(lambda: virtual_time.LoopClock().now().timestamp())
    driver = Driver(server)
    async with await open_connection(server, Direct(), "amqp://worker@broker/") as connection:
        seen = await Player(connection, prefix(seed)).play(script)
    driver.stop()
    return seen


async def on_real(
    url: str, played: dict[int, list[Step]], expected: dict[int, list[Seen]]
) -> dict[int, list[Seen]]:
    """Play all scripts at the same time; most of it is waiting."""
    async with await aio_pika.connect(url) as connection:
        seen = await asyncio.gather(
            *(
                Player(connection, prefix(seed), expected[seed]).play(script)
                for seed, script in played.items()
            )
        )
    return dict(zip(played, seen, strict=True))


def prefix(seed: int) -> str:
    return f"sms.own.worker.script-{seed}"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_script_shows_the_same_on_both_brokers(
    seen: dict[int, tuple[list[Seen], list[Seen]]], seed: int
) -> None:
    found, expected = seen[seed]
    assert found == expected
