"""Half an hour at 60 % of the capacity, with a fault in every round (`make soak`).

`SOAK_S` in the environment is its duration in seconds.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.torture.network.behind_proxies import behind_proxies
from tests.torture.network.soak import BEHAVIOUR, LOAD, Soak, capacity
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from pathlib import Path

SOAK_S: Final = float(os.environ.get("SOAK_S", "1800"))


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 600)
async def test_under_load_with_faults_no_promise_breaks_and_nothing_grows(tmp_path: Path) -> None:
    async with behind_proxies(tmp_path, {}) as network:
        await BEHAVIOUR.usual(network.system)
        await network.system.put(Phase.GRADUAL_MIGRATION, 50)
        most = await capacity(network)
        rate = LOAD * most
        print(f"\ncapacity {most:.0f}/s, load {rate:.0f}/s for {SOAK_S:.0f} s")
        soak = Soak(network, rate)
        await soak.run(SOAK_S)
        print(f"\n{soak.judged} messages judged\n\n{soak.growth}")
        assert soak.violations == []
        assert soak.growth.grown() == []
