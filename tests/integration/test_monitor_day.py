"""A day of silence, of a store that is cut, of receipts that are missing: nothing moves.

Automation may go up and down by itself all day, and nobody need approve. Long, hence not a unit
test.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.support.monitor_fakes import LEGACY, TARGET, World
from worker.domain.detection.tick import TICK_S
from worker.domain.migration.decide import next_up
from worker.domain.migration.flags import MigrationSettings
from worker.domain.migration.gates import GateVerdict
from worker.domain.migration.move_gates import gates_of
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from worker.domain.migration.gates import Gate

DAY = round(86_400 / TICK_S)
FREE = MigrationSettings(auto_advance=True, require_approval=False)


async def world() -> World:
    made = World(migration=FREE)
    await made.begin()
    return made


async def shut(made: World) -> dict[str, Gate]:
    """Gates of the next move upwards that are not open, as the status shows them."""
    state = made.state
    following = next_up(state, made.clock.now())
    assert following is not None
    measures = await made.since_change(state)
    gates = gates_of(state, following.wanted, measures, made.clock.now())
    return {gate.name: gate for gate in gates if not gate.open}


def unmoved(made: World) -> bool:
    """No advance and no way down: at most a hold."""
    return made.state.percentage == 25 and set(made.decisions) <= {"hold"}


async def test_a_day_without_traffic_moves_nothing_and_says_what_is_missing() -> None:
    made = await world()
    await made.run(DAY, made.traffic())
    assert unmoved(made)
    found = await shut(made)
    assert {gate.verdict for gate in found.values()} == {GateVerdict.NOT_ENOUGH}
    assert "100 outcomes; none come at present" in found["success"].missing.words
    proof = found["failed proof"].missing.words
    assert proof == "about 73 messages without a failure; none come at present"


async def test_a_day_with_the_store_cut_moves_nothing() -> None:
    made = await world()
    await made.run(3, made.traffic((0, 3), (0, 9)))
    made.away = made.log.away = True
    failing = made.traffic((1, 3), (0, 9))
    for _ in range(DAY):
        failing()
        with pytest.raises(StoreUnavailable):
            await made.tick()
    made.away = made.log.away = False
    assert unmoved(made)
    known = (await made.checkpoints.read(made.first.lineage)).evidence
    assert known.counted[0][1] <= 9


@pytest.mark.parametrize("silent", [(TARGET,), (TARGET, LEGACY)])
async def test_a_day_without_receipts_moves_nothing_and_says_so(silent: tuple[str, ...]) -> None:
    made, numbers = await world(), count()

    def traffic() -> None:
        made.traffic((0, 1), (0, 3))()
        for provider, messages in ((TARGET, 1), (LEGACY, 3)):
            told = provider not in silent
            for _ in range(messages):
                made.books[0].judged(
                    provider,
                    delivered=told,
                    eligible=True,
                    reported=told,
                    recipient_hash=str(next(numbers)),
                )

    await made.run(DAY, traffic)
    assert unmoved(made)
    assert "not one delivery report of the target comes" in made.log.entries[-1].reply["text"]
    found = await shut(made)
    assert "no reports come" in found["undelivered proof"].measured
