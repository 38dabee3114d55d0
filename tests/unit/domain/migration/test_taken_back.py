"""Automation never undoes a person: what a person takes back holds it until somebody resumes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from tests.support.changes import change
from tests.support.control_fakes import PROVEN
from tests.support.fakes import EPOCH, snapshot
from worker.domain.detection.automatic_rollback import Action, Judgement, judge
from worker.domain.detection.automation import wants_up
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.step_down import went_down
from worker.domain.migration.access import AccessRole
from worker.domain.migration.decide import Decision, decide
from worker.domain.migration.flags import Flags, MigrationSettings
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import DEFAULT_RULES, Phase, Role
from worker.domain.migration.snapshot import AUTOMATIC, Proposal, Snapshot

NOW = EPOCH + timedelta(days=1)
LATER = NOW + timedelta(days=30)
AUTO = MigrationSettings(auto_advance=True, require_approval=False)
ON = Flags(migration=AUTO)
FINE = Measures(
    evidence=PROVEN,
    accepted=10_000,
    p95_ms=150.0,
    delivered=5_000,
    judged=5_000,
    account_ok=True,
)


def standing(
    percentage: int = 50, phase: Phase = Phase.GRADUAL_MIGRATION, **changes: Any
) -> Snapshot:
    """A share in force for a day, with automation on."""
    made = replace(snapshot(percentage, phase, 8), flags=ON, since=EPOCH, started_at=EPOCH)
    return replace(made, **changes)


def decided(name: str, state: Snapshot, **fields: Any) -> Decision:
    given = {"reason": "complaints"} | fields
    return decide(change(name, **given), state, FINE, NOW)


def after(name: str, state: Snapshot, **fields: Any) -> Snapshot:
    found = decided(name, state, **fields).after
    assert found is not None
    return found


def goes_up(state: Snapshot) -> bool:
    return wants_up(judge(Evidence(), state), state, LATER)


LOWER = standing(10)
AT_THE_EDGE = standing(
    75,
    Phase.LEGACY_DEPRECATION,
    last_percentages=MappingProxyType({Phase.GRADUAL_MIGRATION: 75}),
)
WITHOUT_LEGACY = standing(flags=replace(ON, legacy_enabled=False))
WAYS_DOWN: dict[str, tuple[str, Snapshot, dict[str, Any]]] = {
    "set-percentage": ("set-percentage", standing(), {"percentage": 10}),
    "set-percentage by one": ("set-percentage", standing(), {"percentage": 49}),
    "set-percentage to 0": ("set-percentage", standing(), {"percentage": 0}),
    "by an operator": (
        "set-percentage",
        standing(),
        {"percentage": 10, "role": AccessRole.OPERATOR},
    ),
    "rollback": ("rollback", standing(), {}),
    "rollback to the same share": ("rollback", AT_THE_EDGE, {}),
    "rollback of a disabled target": (
        "rollback",
        standing(flags=replace(ON, target_enabled=False)),
        {},
    ),
    "emergency-rollback": ("emergency-rollback", standing(), {}),
    "disable-provider": ("disable-provider", standing(), {"provider": Role.TARGET}),
    "enable-provider": ("enable-provider", WITHOUT_LEGACY, {"provider": Role.LEGACY}),
    "set-flags": ("set-flags", standing(), {"flags": replace(ON, target_enabled=False)}),
    "restore": ("restore", standing(), {"label": "7", "older": LOWER}),
    "advance lower than now": ("advance", standing(75), {"percentage": 10}),
    "approve": (
        "approve",
        standing(proposal=Proposal(9, "ben", Phase.GRADUAL_MIGRATION, 10, LATER)),
        {"proposal": 9},
    ),
}


def test_without_a_person_s_word_automation_would_go_up() -> None:
    assert goes_up(standing(10))


@pytest.mark.parametrize("way", WAYS_DOWN)
def test_whatever_a_person_takes_back_stays(way: str) -> None:
    name, state, fields = WAYS_DOWN[way]
    taken = after(name, state, **fields)
    enabled = replace(taken, flags=ON)  # whatever was taken back is there again, but for the hold
    assert taken.held
    assert not goes_up(enabled)


@pytest.mark.parametrize("way", WAYS_DOWN)
def test_who_took_back_what_and_why_is_on_record_and_in_the_answer(way: str) -> None:
    name, state, fields = WAYS_DOWN[way]
    decision = decided(name, state, **fields)
    assert decision.text.endswith("; automation is held until resume")
    found = decision.after
    assert found is not None
    where = f"{state.phase} at {state.percentage} %"
    assert found.held_reason == f"ann ({name} at {where}): complaints"


def test_only_resume_releases_what_was_taken_back() -> None:
    taken = after("set-percentage", standing(), percentage=10)
    resumed = after("resume", taken)
    assert (resumed.held, resumed.held_reason) == (False, "")
    assert goes_up(resumed)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("step", {}),
        ("set-percentage", {"percentage": 50}),
        ("set-percentage", {"percentage": 50, "override": "tried by hand"}),
        ("restore", {"label": "7", "older": standing()}),
        ("set-flags", {"flags": replace(ON, automatic_rollback=False)}),
        ("unlock", {}),
        ("backup", {"label": "friday"}),
    ],
)
def test_a_person_s_own_way_up_or_other_order_does_not_release_it(
    name: str, fields: dict[str, Any]
) -> None:
    taken = replace(after("set-percentage", standing(), percentage=10), since=EPOCH)
    state = replace(taken, lock=None)
    found = decided(name, state, **fields)
    assert found.accepted
    assert (found.after or state).held
    assert not goes_up(found.after or state)


def test_automation_switched_on_later_does_not_undo_a_person_either() -> None:
    off = standing(flags=Flags())
    taken = after("set-percentage", off, percentage=10)
    switched_on = decided("set-flags", taken, flags=ON)
    assert switched_on.text.endswith("automation is held until resume")
    assert switched_on.after is not None
    assert not goes_up(switched_on.after)


def test_a_proposal_does_not_outlive_what_a_person_took_back() -> None:
    waiting = Proposal(8, AUTOMATIC, Phase.GRADUAL_MIGRATION, 75, LATER)
    taken = after("disable-provider", standing(proposal=waiting), provider=Role.TARGET)
    assert taken.proposal is None


def test_the_last_who_took_something_back_is_shown() -> None:
    once = after("hold", standing())
    assert once.held_reason == "ann (hold at GradualMigration at 50 %): complaints"
    twice = after("set-percentage", once, percentage=10, by="ben", reason="more complaints")
    assert twice.held_reason == "ben (set-percentage at GradualMigration at 50 %): more complaints"


def test_what_takes_nothing_from_the_target_holds_nothing() -> None:
    for name, fields in (
        ("step", {}),
        ("set-user-override", {"user": "u", "provider": Role.LEGACY}),
        ("set-flags", {"flags": replace(ON, automatic_rollback=False)}),
    ):
        assert not after(name, standing(), **fields).held


def test_automation_s_own_way_down_locks_and_holds_nothing() -> None:
    down = went_down(Judgement(Action.STEP_BACK, "worse"), standing(proven=(10,)), NOW)
    assert (down.percentage, down.held) == (10, False)
    assert down.lock is not None


def test_a_lower_entry_of_the_next_phase_reached_by_automation_holds_nothing() -> None:
    rules = replace(DEFAULT_RULES[Phase.LEGACY_DEPRECATION], entry=60)
    phases = MappingProxyType({**DEFAULT_RULES, Phase.LEGACY_DEPRECATION: rules})
    state = standing(75, flags=replace(ON, phases=phases))
    moved = after("advance", state, by=AUTOMATIC)
    assert (moved.percentage, moved.held) == (60, False)
