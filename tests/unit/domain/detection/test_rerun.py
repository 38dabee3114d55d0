"""Automatic decisions as plain data, and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.fakes import snapshot
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.automation import Inputs, decision_about, judged
from worker.domain.detection.cohorts import Cohort, ReplicaCalls
from worker.domain.detection.criteria import Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.rerun import document, recorded, replay, restored
from worker.domain.detection.sick_replica import SickReplica
from worker.domain.detection.threshold_policy import Window
from worker.domain.detection.tick import ProviderTick, Tick
from worker.domain.migration.flags import RollbackPolicy
from worker.domain.migration.gates import Measures
from worker.store.control_log import of_snapshot
from worker.store.control_log import snapshot as read

AT = datetime(2026, 1, 2, tzinfo=UTC)
SETTING = Criteria(25, 1.0)


def inputs() -> Inputs:
    """A target that gets worse and worse."""
    before = Evidence(since=1.0)
    for at in range(5):
        given = Tick(
            at * 10.0,
            ProviderTick(EventCounts(at, 11)),
            ProviderTick(EventCounts(1, 37)),
            EventCounts(1, 37),
        )
        before = observe(before, given, SETTING)
    tick = Tick(
        60.0,
        ProviderTick(EventCounts(17, 31)),
        ProviderTick(EventCounts(1, 70)),
        EventCounts(1, 70),
        account_fault="x",
    )
    return Inputs(AT, before, tick, SETTING, (HoldReason.ACCOUNT,), Window(1, 2, 3.0), Measures(4))


def test_a_decision_comes_back_as_it_was_made() -> None:
    made = inputs()
    found, known = judged(made, snapshot(25))
    again = replay(recorded(made, known), snapshot(25))
    assert again == (decision_about(found, known, made, snapshot(25)), known)


def test_evidence_comes_back_as_it_was() -> None:
    known = observe(Evidence(), inputs().tick, SETTING)
    assert restored(document(known)) == known


def test_evidence_of_another_version_is_read_as_far_as_it_is_known() -> None:
    known = observe(Evidence(), inputs().tick, SETTING)
    newer = {**document(known), "invented": [1]}
    assert restored(newer) == known
    older = {name: value for name, value in newer.items() if name not in ("anew", "news")}
    assert restored(older).anew == 0
    assert restored(older).counted == known.counted


def test_a_decision_with_fields_of_another_version_is_replayed() -> None:
    made = inputs()
    found, known = judged(made, snapshot(25))
    stored = recorded(made, known)
    for part in ("tick", "setting", "before", "window", "measures"):
        stored[part] = {**stored[part], "invented": 1}
    stored["tick"]["target"] = {**stored["tick"]["target"], "invented": 1}
    assert replay(stored, snapshot(25)) == (decision_about(found, known, made, snapshot(25)), known)


def test_a_stored_state_without_a_number_of_its_evidence_has_never_begun_anew() -> None:
    stored = of_snapshot(replace(snapshot(25), anew=3, held=True, held_reason="ann: complaints"))
    older = {name: stored[name] for name in stored if name not in ("anew", "heldReason")}
    assert (read(stored).anew, read(stored).held_reason) == (3, "ann: complaints")
    assert (read(older).anew, read(older).held, read(older).held_reason) == (0, True, "")


def test_what_was_told_of_replicas_comes_back_and_an_older_version_did_not_record_it() -> None:
    calls = tuple(ReplicaCalls(each, failed, 9 - failed) for each, failed in (("x", 9), ("y", 0)))
    known = Evidence(since=1.0, sick_replica=SickReplica("x", 9, 9, 0, 9))
    tick = replace(inputs().tick, at=20.0, cohorts=(Cohort(10.0, replicas=calls),))
    made = replace(inputs(), before=known, tick=tick)
    found, after = judged(made, snapshot(25))
    assert after.sick_replica
    stored = recorded(made, after)
    assert replay(stored, snapshot(25)) == (decision_about(found, after, made, snapshot(25)), after)
    del stored["before"]["sick_replica"], stored["tick"]["cohorts"][0]["replicas"]
    del stored["window"]["since"]
    assert replay(stored, snapshot(25))[1].sick_replica is None


def test_what_another_method_recorded_is_not_replayed() -> None:
    made = inputs()
    old = {**recorded(made, made.before), "method": 0}
    with pytest.raises(ValueError, match="method 0"):
        replay(old, snapshot(25))


def test_without_a_window_the_policy_threshold_falls_back_on_the_evidence() -> None:
    made = inputs()
    made = replace(made, window=None, tick=replace(made.tick, account_fault=""))
    found, _ = judged(made, snapshot(25, rollback_policy=RollbackPolicy.THRESHOLD))
    assert "worse than legacy" in found.reason
