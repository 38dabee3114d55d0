"""What the monitor does about what it sees, on real books and a clock that moves when told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from contracts import control
from tests.support.control_fakes import PROVEN, Told, asked, handler
from tests.support.monitor_fakes import LEGACY, TARGET, World, stored
from worker.cli.evidence import differs
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.readings import suspicious
from worker.domain.detection.tick import TICK_S
from worker.domain.migration.flags import MigrationSettings, RollbackPolicy
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import Phase, Role
from worker.ports.store import StoreUnavailable

GOOD, DEAD, SICK = ((0, 25), (0, 75)), ((25, 25), (0, 75)), ((25, 250), (0, 750))
BOTH = ((13, 25), (38, 75))
FINE = Measures(accepted=10_000, p95_ms=150.0, delivered=5_000, judged=5_000)


async def world(**given: Any) -> World:
    made = World(**given)
    await made.begin()
    return made


async def test_a_dead_target_is_rolled_back_and_locked() -> None:
    made = await world()
    await made.run(2, made.traffic(*DEAD))
    assert made.decisions == ["automatic-rollback"]
    assert (made.state.phase, made.state.percentage) == (Phase.ROLLBACK, 0)
    assert made.state.lock is not None
    assert made.announced == [2]


async def test_a_rollback_is_told_once_with_its_evidence() -> None:
    made = await world()
    await made.run(12, made.traffic(*DEAD))
    assert made.alerts.codes == ["automatic-rollback"]
    assert made.alerts.messages[0][1] == "critical"
    assert "worse than legacy" in made.log.entries[-1].evidence["shown"]["failed"]


async def test_a_target_that_is_only_worse_is_stepped_back_to_the_last_proven_share() -> None:
    made = await world(proven=(5, 10))
    await made.run(1, made.traffic(*SICK))
    assert made.decisions == ["automatic-step-back"]
    assert (made.state.phase, made.state.percentage) == (Phase.GRADUAL_MIGRATION, 10)


async def test_trouble_of_both_holds_and_is_told_once() -> None:
    made = await world()
    await made.run(12, made.traffic(*BOTH))
    assert made.decisions == ["hold"]
    assert made.state.percentage == 25
    assert made.alerts.codes == [HoldReason.COMMON_TROUBLE]


async def test_a_hold_is_over_once_the_trouble_is() -> None:
    made = await world()
    await made.run(3, made.traffic(*BOTH))
    assert made.alerts.open == {HoldReason.COMMON_TROUBLE}
    await made.run(90, made.traffic(*GOOD))
    assert made.alerts.open == set()
    assert made.decisions == ["hold"]


async def test_one_sick_replica_of_three_is_named_and_moves_nothing() -> None:
    made = await world(replicas=3)
    made.sick = {1}
    await made.run(30, made.traffic(*GOOD))
    assert made.decisions == ["hold"]
    assert made.state.percentage == 25
    assert made.alerts.codes == [HoldReason.SICK_REPLICA]
    assert "hold: replica 1 fails" in made.alerts.messages[0][2]


async def test_a_sick_replica_that_recovers_leaves_nothing_behind() -> None:
    made = await world(replicas=3)
    made.sick = {1}
    await made.run(6, made.traffic(*GOOD))
    made.sick = set()
    await made.run(60, made.traffic(*GOOD))
    assert made.decisions == ["hold"]
    assert made.alerts.open == set()
    known = (await made.checkpoints.read(made.first.lineage)).evidence
    assert known.sick_replica is None
    assert suspicious(known) == ()
    assert known.counted[0].target_events == 0


async def test_a_target_that_dies_while_a_replica_is_sick_is_rolled_back() -> None:
    made = await world(replicas=3)
    made.sick = {1}
    await made.run(9, made.traffic(*GOOD))
    await made.run(2, made.traffic(*DEAD))
    assert made.decisions == ["hold", "automatic-rollback"]


async def test_a_replica_that_is_alone_is_not_told_from_the_target() -> None:
    made = await world(replicas=1)
    made.sick = {0}
    await made.run(2, made.traffic(*GOOD))
    assert made.decisions == ["automatic-rollback"]


@pytest.mark.parametrize("replicas", [2, 3])
async def test_a_breaker_open_on_one_replica_is_not_the_targets(replicas: int) -> None:
    made = await world(replicas=replicas)
    made.breakers = [{TARGET: "open"}, *[{}] * (replicas - 1)]
    made.sick = {0}
    await made.run(30, made.traffic(*GOOD))
    assert made.decisions == ["hold"]
    assert made.alerts.codes == [HoldReason.SICK_REPLICA]


async def test_a_dead_legacy_is_no_place_to_go_back_to() -> None:
    made = await world()
    made.breakers = [{LEGACY: "open"}, {LEGACY: "open"}]
    await made.run(3, made.traffic(*DEAD))
    assert made.decisions == ["hold"]
    assert made.state.percentage == 25


async def test_automatic_rollback_turned_off_only_alerts() -> None:
    made = await world(automatic_rollback=False)
    await made.run(6, made.traffic(*DEAD))
    assert made.decisions == ["hold"]
    assert made.state.percentage == 25
    assert made.alerts.codes == [HoldReason.ROLLBACK_WANTED]
    assert "EnableAutomaticRollback is false" in made.alerts.messages[0][2]


async def test_a_fault_of_the_account_holds_at_the_next_tick() -> None:
    made = await world()
    made.faults = {TARGET: "balance: InsufficientBalance"}
    await made.run(12, made.traffic(*DEAD))  # passed over: the breaker is open
    assert made.decisions == ["hold"]
    assert "InsufficientBalance" in made.log.entries[-1].reply["text"]
    assert made.alerts.codes == []  # the replica that was told has alerted


async def test_what_an_account_fault_brought_is_not_held_against_the_target_after_it() -> None:
    made = await world()
    made.faults = {TARGET: "balance: InsufficientBalance"}
    await made.run(12, made.traffic(*DEAD))
    made.faults = {}
    await made.run(1, made.traffic(*DEAD))  # the last of them
    await made.run(12, made.traffic(*GOOD))
    assert made.decisions == ["hold"]
    assert made.state.percentage == 25


async def test_a_breaker_open_over_a_minute_steps_back_where_legacy_answers() -> None:
    made = await world(proven=(5,))
    made.breakers = [{TARGET: "open"}, {TARGET: "open"}]
    await made.run(1, made.traffic((1, 1), (0, 3)))
    await made.run(8, made.traffic())
    assert made.decisions == ["automatic-step-back"]
    assert made.state.percentage == 5


async def test_a_breaker_open_on_both_sides_holds() -> None:
    made = await world(proven=(5,))
    made.breakers = [{TARGET: "open"}, {TARGET: "open"}]
    made.legacy.ok = False
    await made.run(1, made.traffic((1, 1), (0, 3)))
    await made.run(9, made.traffic())
    assert made.decisions == ["hold"]


async def test_a_breaker_nobody_asked_for_since_the_share_began_is_no_news() -> None:
    made = await world(proven=(5,))
    made.breakers = [{TARGET: "open"}, {TARGET: "open"}]
    await made.run(30, made.traffic((0, 0), (0, 3)))
    assert "automatic-step-back" not in made.decisions


async def test_monitors_that_look_at_once_act_once() -> None:
    made = await world()
    await made.run(4, made.traffic(*DEAD), monitors=2)
    assert made.decisions == ["automatic-rollback"]


async def test_a_command_that_came_in_between_stands() -> None:
    made = await world()
    told = Told()

    command = asked(made.clock, control.SetPercentage, "c-9", percentage=10)
    real = made.log.append
    steps = 0

    async def append(entry: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == 1:
            await handler(made.log, told)(command)
        await real(entry)

    made.log.append = append
    made.traffic(*DEAD)()
    await made.tick()
    assert made.decisions == ["set-percentage"]
    assert made.state.percentage == 10


async def test_a_hold_whose_record_was_prevented_goes_on_record_at_the_next_tick() -> None:
    made = await world()
    real, prevented = made.log.append, []

    async def append(entry: Any) -> None:
        if not prevented:
            prevented.append(entry)
            raise StoreUnavailable("test")
        await real(entry)

    made.log.append = append
    made.faults = {TARGET: "balance"}
    with pytest.raises(StoreUnavailable):
        await made.tick()
    await made.run(2, made.traffic(*GOOD))
    assert made.decisions == ["hold"]


async def test_a_hold_that_comes_and_goes_is_on_record_once() -> None:
    made = await world()
    for _ in range(20):
        made.faults = {} if made.faults else {TARGET: "balance"}
        await made.run(1, made.traffic(*GOOD))
    assert made.decisions == ["hold"]


async def test_a_rollback_is_told_though_whoever_made_it_died_of_it() -> None:
    made = await world()
    told, made.alerts.event = made.alerts.event, lambda *_, **__: None
    await made.run(1, made.traffic(*DEAD))
    assert made.decisions == ["automatic-rollback"]
    made.alerts.event = told
    await made.monitor().look()
    assert made.alerts.codes == ["automatic-rollback"]


async def test_what_automation_did_long_ago_is_no_news_to_who_starts() -> None:
    made = await world()
    await made.run(1, made.traffic(*DEAD))
    made.alerts.messages.clear()
    made.alerts.ids.clear()
    made.clock.advance(2 * 3_600)
    await made.monitor().look()
    assert made.alerts.codes == []


async def test_a_monitor_that_cannot_look_for_a_minute_says_so_and_when_it_can() -> None:
    made = await world()
    for _ in range(8):
        made.clock.advance(10)
        made.monitors[0]._alerts.missed("test")
    assert made.alerts.codes == ["monitor-blind"]
    await made.tick()
    assert made.alerts.open == set()


async def test_an_account_call_that_hangs_holds_up_no_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.monitoring.ticks.ANSWER_WITHIN_S", 0.01)
    made = await world()
    made.legacy.check = asyncio.Event().wait
    made.breakers = [{TARGET: "open"}, {TARGET: "open"}]
    await made.run(1, made.traffic(*DEAD))
    assert made.decisions == ["automatic-rollback"]


async def test_a_slot_written_late_counts_once() -> None:
    made = await world()
    made.traffic((3, 10), (0, 30))()
    made.clock.advance(10)
    await made.monitors[0].look()
    made.store()
    await made.run(3, made.traffic())
    known = (await made.checkpoints.read(made.first.lineage)).evidence
    assert known.counted[0] == (3.0, 10.0, 0.0, 30.0)


async def test_before_the_next_tick_nothing_is_looked_at() -> None:
    made = await world()
    made.clock.advance(9)
    assert await made.monitors[0].look() is None


async def test_reports_are_published_once_an_interval_by_whoever_owns_the_tick() -> None:
    made = await world(migration=MigrationSettings(health_interval_min=5.0))
    await made.run(60, made.traffic(), monitors=2)
    assert made.reports == 2


# --- upwards -------------------------------------------------------------------------------


def proven_migration(*, approval: bool) -> dict[str, Any]:
    return {"migration": MigrationSettings(auto_advance=True, require_approval=approval)}


async def proved(made: World) -> None:
    """Everything an advance asks for is there."""
    made.measures = FINE
    checkpoint, _ = made.checkpoints.kept[made.first.lineage]
    bounds = criteria_of(made.first, dict.fromkeys(Role, True), 600.0).bounds
    evidence = replace(PROVEN, since=made.first.since.timestamp(), bounds=bounds)
    await made.checkpoints.write(
        made.first.lineage, replace(checkpoint, tick=checkpoint.tick + 1, evidence=evidence)
    )


async def test_with_every_gate_open_automation_goes_up_where_it_may() -> None:
    made = await world(**proven_migration(approval=False))
    await proved(made)
    await made.tick()
    assert made.decisions == ["automatic-step"]
    assert made.state.percentage == 50


async def test_where_approval_is_required_automation_only_proposes() -> None:
    made = await world(**proven_migration(approval=True))
    await proved(made)
    await made.run(5, made.traffic())
    assert made.decisions == ["automatic-step"]
    assert made.state.percentage == 25
    assert made.state.proposal.percentage == 50


async def test_without_auto_advance_nothing_goes_up() -> None:
    made = await world()
    await proved(made)
    await made.run(5, made.traffic())
    assert made.decisions == []


async def test_a_gate_that_is_shut_is_not_passed() -> None:
    made = await world(**proven_migration(approval=False))
    await proved(made)
    made.measures = replace(FINE, accepted=50)
    await made.tick()
    assert made.decisions == []


# --- the policy of the replaced system -------------------------------------------------------


async def test_the_policy_threshold_rolls_back_on_its_window() -> None:
    made = await world(rollback_policy=RollbackPolicy.THRESHOLD)
    await made.run(12, made.traffic((3, 25), (0, 75)))
    assert made.decisions == ["automatic-rollback"]
    text = made.log.entries[-1].reply["text"]
    assert "errors 12.00 % > 5 %, success 88.00 % < 90 % over 5 min" in text


async def test_the_window_of_the_policy_threshold_begins_with_the_state_in_force() -> None:
    made = await world(rollback_policy=RollbackPolicy.THRESHOLD)
    first = made.clock.now()
    await made.run(1, made.traffic(*GOOD))
    await handler(made.log, Told())(asked(made.clock, control.SetPercentage, percentage=10))
    await made.run(2, made.traffic(*GOOD))
    later = made.clock.now() - timedelta(seconds=TICK_S)
    assert made.windows == [first, None, later, later]


async def test_the_policy_threshold_moves_nothing_for_one_sick_replica_nor_after_it() -> None:
    made = await world(replicas=3, rollback_policy=RollbackPolicy.THRESHOLD)
    made.sick = {1}
    await made.run(40, made.traffic(*GOOD))
    assert made.alerts.open == {HoldReason.SICK_REPLICA}
    made.sick = set()
    await made.run(60, made.traffic(*GOOD))
    assert made.decisions == ["hold"]
    assert made.alerts.open == set()


async def test_the_policy_threshold_forgets_what_an_account_fault_brought() -> None:
    made = await world(rollback_policy=RollbackPolicy.THRESHOLD)
    made.faults = {TARGET: "balance: InsufficientBalance"}
    await made.run(12, made.traffic(*DEAD))
    made.faults = {}
    await made.run(40, made.traffic(*GOOD))
    assert made.decisions == ["hold"]


# --- replay ------------------------------------------------------------------------------------


async def runs() -> list[World]:
    """Every kind of decision."""
    found = [await world(proven=(5, 10)) for _ in range(4)]
    await found[0].run(3, found[0].traffic(*DEAD))
    await found[1].run(3, found[1].traffic(*SICK))
    await found[2].run(3, found[2].traffic(*BOTH))
    found[3].faults = {TARGET: "sender: refused"}
    await found[3].run(3, found[3].traffic(*GOOD))
    for approval in (True, False):
        found.append(await world(**proven_migration(approval=approval)))
        await proved(found[-1])
        await found[-1].tick()
    found.append(await world(rollback_policy=RollbackPolicy.THRESHOLD))
    await found[-1].run(12, found[-1].traffic((3, 25), (0, 75)))
    found.append(await world(automatic_rollback=False))
    await found[-1].run(3, found[-1].traffic(*DEAD))
    found.append(await world(replicas=3))
    found[-1].sick = {1}
    await found[-1].run(9, found[-1].traffic(*GOOD))
    await found[-1].run(2, found[-1].traffic(*DEAD))
    return found


async def test_every_decision_is_made_again_bit_for_bit_from_what_is_stored() -> None:
    entries = [entry for made in await runs() for entry in made.log.entries[1:]]
    assert len(entries) == 11
    assert [differs(stored(entry)) for entry in entries] == [None] * 11


@pytest.mark.parametrize("field", ["tick", "before", "setting"])
async def test_a_decision_recorded_otherwise_is_found(field: str) -> None:
    made = await world()
    await made.run(2, made.traffic(*DEAD))
    entry = stored(made.log.entries[-1])
    side = {**entry.evidence["tick"]["target"], "failed": {"events": 1, "total": 25}}
    changed = {
        "tick": {"target": side},
        "before": {"counted": [[1.0, 1.0, 1.0, 1.0]] * 3},
        "setting": {"share": 24},
    }
    recorded = {**entry.evidence, field: {**entry.evidence[field], **changed[field]}}
    assert differs(replace(entry, evidence=recorded)) is not None


async def test_a_state_that_was_not_decided_is_found() -> None:
    made = await world()
    await made.run(2, made.traffic(*DEAD))
    entry = stored(made.log.entries[-1])
    other = replace(entry.after, last_percentages=MappingProxyType({}))
    assert differs(replace(entry, after=other)) == "another state"


async def test_evidence_of_an_older_method_begins_anew_and_that_is_on_record_once() -> None:
    made = await world()
    await made.run(6, made.traffic(*GOOD))
    lineage = made.state.lineage
    kept, evidence = made.checkpoints.kept[lineage]
    made.checkpoints.kept[lineage] = replace(kept, older_method=3), evidence
    await made.run(3, made.traffic(*GOOD))
    assert made.decisions == ["evidence-anew"]
    entry = made.log.entries[-1]
    assert (entry.before, entry.after) == (made.state, made.state)
    assert "was 3" in entry.reply["text"]
