"""How soon trouble brings the traffic back: the whole stack, 100 messages/s at 25 %, two replicas.

From the fault on, which is the first failure within a tenth of a second, to every replica going by
the lower share. The monitor looks every 10 s, and trouble begins at any moment between two looks:
several rounds of each.
"""

from __future__ import annotations

import asyncio
import random
import time
from statistics import median
from typing import TYPE_CHECKING

import pytest

from tests.support.trouble import DEAD, HALF, TENTH, a_quarter, trouble
from tests.support.waiting import until
from tests.support.whole_system import System
from worker.domain.detection.tick import TICK_S

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 4
CASES = (("dead", DEAD, 0, 20), ("half", HALF, 0, 20), ("tenth", TENTH, 10, 60))
"""Name, fault, share that must be reached, and the bar in seconds: a figure, asserted nowhere."""


async def at_any_moment(system: System, rng: random.Random) -> None:
    """Past the look after the last move, and somewhere between two."""
    evidence, began = system.store["evidence"], await system.store["evidence"].find_one()

    async def looked() -> bool:
        return (await evidence.find_one())["tick"] > began["tick"] + 1

    await until(looked, 3 * TICK_S)
    await asyncio.sleep(rng.uniform(0.0, TICK_S))  # trouble comes at any time between two ticks


async def once(
    system: System, name: str, fault: dict, share: int, rng: random.Random
) -> tuple[float, str]:
    """Seconds, and what was decided first."""
    await a_quarter(system)
    await at_any_moment(system, rng)
    async with trouble(system, name, {"africastalking": fault}) as episode:
        began = time.monotonic()
        await episode.down_to(share)
        took = time.monotonic() - began
    first = (await episode.decisions())[0]
    await episode.accounted()
    return took, first.command["name"]


@pytest.mark.bench
@pytest.mark.timeout(1_800)
async def test_trouble_brings_the_traffic_back(tmp_path: Path) -> None:
    rng = random.Random(1)
    async with System.running(tmp_path, {}) as system:
        print(f"\n{'target fails':>14}{'to':>6}{'median':>9}{'longest':>9} s{'bar':>6} s  decided")
        for name, fault, share, bar in CASES:
            names = [f"{name}{number}" for number in range(ROUNDS)]
            rounds = [await once(system, each, fault, share, rng) for each in names]
            took, decided = [each for each, _ in rounds], {each for _, each in rounds}
            figures = f"{median(took):9.1f}{max(took):9.1f}"
            print(f"{name:>14}{share:>4} %{figures}  {bar:>6}    {', '.join(decided)}")
