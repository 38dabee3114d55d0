"""Automatic decisions as plain data, and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.unit.fakes import snapshot
from worker.domain.automation import Inputs, judged, ruled
from worker.domain.evidence import Evidence, Setting, Side, Tick, observe
from worker.domain.flags import RollbackPolicy
from worker.domain.gates import Measures
from worker.domain.judgement import Topic, Window
from worker.domain.likelihood import Seen
from worker.domain.recorded import document, recorded, replay, restored

AT = datetime(2026, 1, 2, tzinfo=UTC)
SETTING = Setting(25, 1.0)


def inputs() -> Inputs:
    """A target that gets worse and worse."""
    before = Evidence(since=1.0)
    for at in range(5):
        given = Tick(at * 10.0, Side(Seen(at, 11)), Side(Seen(1, 37)), Seen(1, 37))
        before = observe(before, given, SETTING)
    tick = Tick(60.0, Side(Seen(17, 31)), Side(Seen(1, 70)), Seen(1, 70), account_fault="x")
    return Inputs(AT, before, tick, SETTING, (Topic.ACCOUNT,), Window(1, 2, 3.0), Measures(4))


def test_a_decision_comes_back_as_it_was_made() -> None:
    made = inputs()
    found, known = judged(made, snapshot(25))
    again = replay(recorded(made, known), snapshot(25))
    assert again == (ruled(found, known, made, snapshot(25)), known)


def test_evidence_comes_back_as_it_was() -> None:
    known = observe(Evidence(), inputs().tick, SETTING)
    assert restored(document(known)) == known


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
