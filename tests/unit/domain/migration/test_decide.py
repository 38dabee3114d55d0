"""Rulings: upwards passes gates, downwards never waits, an order is judged by its effect."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pytest

from tests.support.changes import change
from tests.support.control_fakes import PROVEN
from tests.support.fakes import EPOCH, snapshot
from worker.domain.detection.automatic_rollback import judge
from worker.domain.detection.automation import wants_up
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.signals import Signal
from worker.domain.migration import routing
from worker.domain.migration.access import AccessRole
from worker.domain.migration.decide import Decision, decide, moves_up, next_up, raises, share
from worker.domain.migration.flags import Flags, MigrationSettings
from worker.domain.migration.gates import GateVerdict, Measures
from worker.domain.migration.move_gates import gates_of
from worker.domain.migration.overrides import MAX_OVERRIDES
from worker.domain.migration.phases import DEFAULT_RULES, Phase, Role, picture
from worker.domain.migration.settings_changes import MAX_BACKUPS
from worker.domain.migration.snapshot import AUTOMATIC, Lock, Proposal, Snapshot

NOW = EPOCH + timedelta(days=1)
FINE = Measures(
    evidence=PROVEN,
    accepted=10_000,
    errors=0,
    p95_ms=150.0,
    delivered=5_000,
    judged=5_000,
    account_ok=True,
)
NOTHING = Measures()


def state(percentage: int = 25, phase: Phase = Phase.GRADUAL_MIGRATION, **changes: Any) -> Snapshot:
    made = replace(snapshot(percentage, phase, 8), since=EPOCH, started_at=EPOCH)
    return replace(made, **changes)


def flags(**changes: Any) -> Flags:
    return replace(Flags(), **changes)


def decided(
    name: str,
    standing: Snapshot,
    measures: Measures = FINE,
    now: Any = NOW,
    **fields: Any,
) -> Decision:
    return decide(change(name, **fields), standing, measures, now)


def verdicts(decision: Decision) -> dict[str, GateVerdict]:
    return {gate.name: gate.verdict for gate in decision.gates}


# --- upwards ------------------------------------------------------------------------------------


def test_a_step_up_shows_its_gates_and_is_stamped() -> None:
    decision = decided("step", state())
    assert set(verdicts(decision)) == {
        "lock",
        "time",
        "success",
        "errors",
        "response",
        "delivery",
        "alarm",
        "assignment",
        *(f"{signal} proof" for signal in Signal),
        "failed comparison",
        "slow comparison",
    }
    after = decision.after
    assert after is not None
    assert (after.percentage, after.version, after.since) == (50, 9, NOW)
    assert (after.started_at, after.initiated_by, after.notes) == (EPOCH, "ann", "because")


def test_an_advance_begins_a_phase_and_remembers_where_the_last_one_was_left() -> None:
    after = decided("advance", state(50)).after
    assert after is not None
    assert (after.started_at, after.previous_phase) == (NOW, Phase.GRADUAL_MIGRATION)
    assert after.last_percentages[Phase.GRADUAL_MIGRATION] == 50


@pytest.mark.parametrize(
    ("change", "shut"),
    [
        ({"accepted": 90, "errors": 10}, {"success", "errors", "response"}),
        ({"p95_ms": 3001.0}, {"response"}),
        ({"p95_ms": None}, {"response"}),
        ({"delivered": 4_800}, {"delivery"}),
        ({"judged": 99, "delivered": 99}, {"delivery"}),
    ],
)
def test_a_gate_that_is_not_passed_refuses_by_name(change: dict[str, Any], shut: set[str]) -> None:
    decision = decided("step", state(), replace(FINE, **change))
    assert (decision.accepted, decision.code, decision.after) == (False, "gates", None)
    assert {gate.name for gate in decision.gates if not gate.open} == shut
    for name in shut:
        assert name in decision.text
    assert "override" in decision.text


def test_silence_is_not_enough_data_and_refuses() -> None:
    decision = decided("step", state(), NOTHING)
    assert not decision.accepted
    assert verdicts(decision)["success"] is GateVerdict.NOT_ENOUGH
    assert "100 outcomes" in decision.text


def test_no_reports_make_the_delivery_gate_not_applicable() -> None:
    decision = decided("step", state(), replace(FINE, gives_reports=False, judged=0, delivered=0))
    assert decision.accepted
    assert verdicts(decision)["delivery"] is GateVerdict.NOT_APPLICABLE


def test_before_the_minimum_time_nothing_goes_up() -> None:
    early = EPOCH + timedelta(minutes=29, seconds=59)
    assert decided("step", state(), now=early).code == "gates"
    assert decided("step", state(), now=EPOCH + timedelta(minutes=30)).accepted


def test_a_lock_forbids_until_it_is_over_or_lifted() -> None:
    locked = state(lock=Lock(NOW + timedelta(hours=1), "too many errors"))
    refused = decided("step", locked)
    assert refused.code == "gates"
    assert "too many errors" in refused.text
    lifted = decided("unlock", locked).after
    assert lifted is not None
    assert decided("step", lifted).accepted
    assert decided("step", locked, now=NOW + timedelta(hours=2)).accepted


def test_from_a_share_of_zero_only_lock_and_account_are_asked() -> None:
    start = state(0, Phase.NOT_STARTED)
    assert set(verdicts(decided("advance", start))) == {"lock", "account"}
    refused = decided("advance", start, replace(NOTHING, account_reason="401"))
    assert refused.code == "gates"
    assert "401" in refused.text


def test_gates_are_overridden_with_a_reason_by_an_administrator_alone() -> None:
    assert decided("step", state(), NOTHING, override="a drill").accepted
    refused = decided("step", state(), NOTHING, override="a drill", role=AccessRole.OPERATOR)
    assert refused.code == "forbidden"


def test_a_dry_run_answers_with_the_gates_and_changes_nothing() -> None:
    for measures in (FINE, NOTHING):
        decision = decided("step", state(), measures, dry_run=True)
        assert (decision.accepted, decision.code, decision.after) == (True, "dry-run", None)
        assert decision.gates


@pytest.mark.parametrize("seconds", [31, -31])
def test_an_upward_order_is_stale_after_thirty_seconds_either_way(seconds: int) -> None:
    assert decided("step", state(), age=timedelta(seconds=seconds)).code == "stale"
    assert decided("step", state(), age=timedelta(seconds=30)).accepted


def test_a_downward_order_never_expires_and_asks_no_gate() -> None:
    for name, fields in (("rollback", {}), ("emergency-rollback", {}), ("hold", {})):
        decision = decided(name, state(), NOTHING, age=timedelta(days=30), **fields)
        assert decision.accepted
        assert decision.gates == ()
    down = decided("set-percentage", state(), NOTHING, percentage=10, age=timedelta(days=1))
    assert down.accepted


# --- judged by their effect ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields", "standing"),
    [
        ("set-flags", {"flags": flags(legacy_enabled=False)}, state()),
        ("set-flags", {"flags": flags(user_overrides={"u": Role.TARGET})}, state()),
        ("set-user-override", {"user": "u", "provider": Role.TARGET}, state()),
        ("set-branch-override", {"branch": 4, "provider": Role.TARGET}, state()),
        (
            "clear-user-override",
            {"user": "u"},
            state(flags=flags(user_overrides={"u": Role.LEGACY})),
        ),
        ("disable-provider", {"provider": Role.LEGACY}, state()),
        ("enable-provider", {"provider": Role.TARGET}, state(flags=flags(target_enabled=False))),
        ("restore", {"label": "7", "older": state(50)}, state()),
        ("advance", {"percentage": 0}, state()),
    ],
)
def test_whatever_raises_passes_the_gates(
    name: str, fields: dict[str, Any], standing: Snapshot
) -> None:
    assert decided(name, standing, NOTHING, **fields).code == "gates"
    assert decided(name, standing, FINE, **fields).accepted


def test_an_override_to_legacy_is_no_raise() -> None:
    assert decided("set-user-override", state(), NOTHING, user="u", provider=Role.LEGACY).accepted


def test_an_override_towards_the_target_raises_nothing_where_the_target_has_no_role() -> None:
    start = state(0, Phase.NOT_STARTED)
    decision = decided("set-user-override", start, NOTHING, user="u", provider=Role.TARGET)
    assert decision.accepted


def test_a_target_that_gets_its_role_back_raises_even_at_zero() -> None:
    off = state(0, flags=flags(target_enabled=False))
    assert raises(off, state(0))
    assert raises(state(0, Phase.NOT_STARTED), state(0, Phase.PARALLEL_SETUP))
    assert not raises(state(0), state(0, Phase.ROLLBACK))


def test_with_legacy_disabled_the_target_has_it_all() -> None:
    assert share(state(25, flags=flags(legacy_enabled=False))) == 100


def test_from_rollback_an_older_state_is_no_way_round_the_first_phase() -> None:
    rolled, older = state(0, Phase.ROLLBACK), state(100, Phase.COMPLETE_MIGRATION)
    refused = decided("restore", rolled, label="7", older=older)
    assert (refused.code, "ParallelSetup" in refused.text) == ("phase", True)
    assert decided("restore", rolled, label="7", older=older, override="sure").accepted


def test_the_last_provider_with_a_role_is_not_disabled() -> None:
    start = state(0, Phase.NOT_STARTED)
    refused = decided("disable-provider", start, provider=Role.LEGACY)
    assert (refused.code, "enable the other one first" in refused.text) == ("no provider", True)
    alone = state(100, Phase.COMPLETE_MIGRATION, flags=flags(legacy_enabled=False))
    assert decided("disable-provider", alone, provider=Role.TARGET).code == "no provider"


# --- downwards ----------------------------------------------------------------------------------


def test_a_rollback_takes_the_lower_of_the_last_and_the_present_percentage() -> None:
    left = MappingProxyType({Phase.GRADUAL_MIGRATION: 50})
    high = state(90, Phase.LEGACY_DEPRECATION, last_percentages=left)
    low = replace(high, percentage=10)
    assert decided("rollback", high).after.percentage == 50
    assert decided("rollback", low).after.percentage == 10


def test_a_rollback_never_leaves_the_range_of_the_phase_it_leads_to() -> None:
    narrow = replace(DEFAULT_RULES[Phase.GRADUAL_MIGRATION], low=20)
    phases = MappingProxyType({**DEFAULT_RULES, Phase.GRADUAL_MIGRATION: narrow})
    low = state(10, Phase.LEGACY_DEPRECATION, flags=flags(phases=phases))
    after = decided("rollback", low).after
    assert (after.phase, after.percentage) == (Phase.GRADUAL_MIGRATION, 0)


def test_a_proposal_outside_the_range_configured_since_is_not_approved() -> None:
    narrow = replace(DEFAULT_RULES[Phase.GRADUAL_MIGRATION], high=30)
    phases = MappingProxyType({**DEFAULT_RULES, Phase.GRADUAL_MIGRATION: narrow})
    proposed = Proposal(8, "ann", Phase.GRADUAL_MIGRATION, 50, NOW + timedelta(hours=1))
    waiting = state(flags=flags(phases=phases), proposal=proposed)
    refused = decided("approve", waiting, by="ben", proposal=8)
    assert (refused.code, "reject it" in refused.text) == ("range", True)


def test_a_repeated_rollback_names_the_phase_it_leaves_and_goes_down_once() -> None:
    once = decided("rollback", state(), leaving="GradualMigration").after
    assert once.phase is Phase.PARALLEL_SETUP
    again = decided("rollback", once, leaving="GradualMigration")
    assert (again.accepted, again.code, again.after) == (True, "unchanged", None)


def test_an_emergency_enables_legacy_in_the_same_entry() -> None:
    retired = state(
        100,
        Phase.COMPLETE_MIGRATION,
        flags=flags(legacy_enabled=False),
        legacy_retired=True,
    )
    after = decided("emergency-rollback", retired, NOTHING).after
    assert (after.phase, after.percentage, after.flags.legacy_enabled) == (Phase.ROLLBACK, 0, True)
    assert not after.legacy_retired


def test_a_retired_legacy_is_no_way_back_until_it_is_enabled() -> None:
    full = state(100, Phase.COMPLETE_MIGRATION)
    retired = decided("retire-legacy", full).after
    assert not retired.rollback_available
    refused = decided("rollback", retired)
    assert (refused.code, "enable-provider legacy first" in refused.text) == ("retired", True)
    back = decided("enable-provider", retired, provider=Role.LEGACY).after
    assert decided("rollback", back).after.phase is Phase.LEGACY_DEPRECATION


# --- ranges -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "at", "standing"),
    [
        ("advance", 26, state(5, Phase.PARALLEL_SETUP)),
        ("set-percentage", 76, state()),
        ("set-percentage", 99, state(100, Phase.COMPLETE_MIGRATION)),
        ("set-percentage", 1, state(0, Phase.ROLLBACK)),
    ],
)
def test_a_percentage_out_of_range_names_the_range(name: str, at: int, standing: Snapshot) -> None:
    refused = decided(name, standing, percentage=at)
    assert refused.code == "range"
    assert f"got {at}" in refused.text


def test_the_last_step_says_how_to_go_on() -> None:
    refused = decided("step", state(75))
    assert (refused.code, "advance" in refused.text) == ("last step", True)


def test_the_next_move_up_is_a_step_and_then_the_phase() -> None:
    assert next_up(state(50), NOW).kind.name == "step"
    assert next_up(state(75), NOW).kind.name == "advance"
    assert next_up(state(100, Phase.COMPLETE_MIGRATION), NOW) is None


@pytest.mark.parametrize(
    ("standing", "commands"),
    [
        (state(0, Phase.NOT_STARTED), ["advance"]),
        (state(1, Phase.PARALLEL_SETUP), ["step", "advance"]),
        (state(25), ["step", "advance"]),
        (state(75), ["advance"]),
        (state(95, Phase.LEGACY_DEPRECATION), ["step", "advance"]),
        (state(100, Phase.COMPLETE_MIGRATION), []),
    ],
)
def test_the_gates_shown_for_a_move_up_are_those_its_command_asks(
    standing: Snapshot, commands: list[str]
) -> None:
    moves = moves_up(standing, NOW)
    assert [move.kind.name for move in moves] == commands
    for move in moves:
        asked = decided(str(move.kind.name), standing, NOTHING, dry_run=True)
        assert gates_of(standing, move.wanted, NOTHING, NOW) == asked.gates


# --- four eyes ----------------------------------------------------------------------------------

FOUR = flags(migration=MigrationSettings(four_eyes=True))


def test_with_four_eyes_a_raise_is_proposed_and_another_person_approves() -> None:
    proposed = decided("step", state(flags=FOUR))
    assert proposed.code == "proposed"
    waiting = proposed.after
    assert (waiting.percentage, waiting.proposal.percentage) == (25, 50)
    number = waiting.proposal.number
    assert decided("approve", waiting, proposal=number).code == "own proposal"
    after = decided("approve", waiting, by="ben", proposal=number).after
    assert (after.percentage, after.proposal) == (50, None)


def test_who_approves_overrides_the_gates_for_a_reason_of_their_own() -> None:
    waiting = decided("step", state(flags=FOUR)).after
    approval = {"by": "ben", "proposal": waiting.proposal.number}
    assert decided("approve", waiting, NOTHING, **approval).code == "gates"
    after = decided("approve", waiting, NOTHING, override="agreed", **approval).after
    assert (after.percentage, after.proposal) == (50, None)


def test_a_proposal_expires_and_is_approved_by_its_number_alone() -> None:
    waiting = state(flags=FOUR, proposal=Proposal(8, "ann", Phase.GRADUAL_MIGRATION, 50, NOW))
    assert decided("approve", waiting, by="ben", proposal=8).code == "expired"
    assert decided("approve", waiting, by="ben", proposal=7).code == "no proposal"
    earlier = NOW - timedelta(seconds=1)
    assert decided("reject", waiting, now=earlier, by="ben", proposal=8).after.proposal is None


def test_a_rejected_proposal_of_automation_holds_it_until_resume() -> None:
    proposed = Proposal(8, AUTOMATIC, Phase.GRADUAL_MIGRATION, 50, NOW + timedelta(hours=1))
    auto = flags(migration=MigrationSettings(auto_advance=True))
    rejected = decided("reject", state(flags=auto, proposal=proposed), proposal=8)
    assert (rejected.after.proposal, rejected.after.held) == (None, True)
    assert rejected.text.endswith("at 25 %; automation is held until resume")
    assert not wants_up(judge(Evidence(), rejected.after), rejected.after, NOW)
    resumed = decided("resume", rejected.after).after
    assert wants_up(judge(Evidence(), resumed), resumed, NOW)


def test_a_rejected_proposal_of_a_person_holds_nothing() -> None:
    proposed = Proposal(8, "ann", Phase.GRADUAL_MIGRATION, 50, NOW + timedelta(hours=1))
    rejected = decided("reject", state(proposal=proposed), by="ben", proposal=8)
    assert not rejected.after.held
    assert "held" not in rejected.text


def test_with_four_eyes_a_move_down_is_not_proposed() -> None:
    assert decided("rollback", state(flags=FOUR)).after.phase is Phase.PARALLEL_SETUP


# --- the rest -----------------------------------------------------------------------------------


def test_overrides_are_bounded() -> None:
    many = flags(user_overrides={str(n): Role.LEGACY for n in range(MAX_OVERRIDES)})
    refused = decided("set-user-override", state(flags=many), user="more", provider=Role.LEGACY)
    assert refused.code == "too many"


@pytest.mark.parametrize(
    ("standing", "user"),
    [
        *(("u-1", user) for user in ("u-7 ", " u-7", "u\u200b-7", "u" * 129, "")),
        *(("u-7", user) for user in ("\uff55-7", "\uff55\uff0d\uff17")),
        ("caf\u00e9", "cafe\u0301"),
        ("ann b", "ann  b"),
        ("u-7 ", "u-7"),  # stored before
    ],
)
def test_an_override_is_refused_for_a_user_that_a_flags_document_could_not_hold(
    standing: str, user: str
) -> None:
    before = state(flags=flags(user_overrides={standing: Role.LEGACY}))
    refused = decided("set-user-override", before, user=user, provider=Role.LEGACY)
    assert (refused.code, refused.after) == ("invalid", None)
    assert refused.text.startswith("set-user-override: user: expected")


@pytest.mark.parametrize("user", ["u-7 ", "u\u200b-7", "u-7"])
def test_whatever_override_stands_can_be_cleared(user: str) -> None:
    stored = flags(user_overrides=dict.fromkeys(["u-7 ", "u\u200b-7", "u-7"], Role.LEGACY))
    decision = decided("clear-user-override", state(flags=stored), user=user)
    assert user not in decision.after.flags.user_overrides


def test_an_override_that_stands_is_set_again_and_case_tells_users_apart() -> None:
    before = state(flags=flags(user_overrides={"u-7": Role.LEGACY}))
    for user in ("u-7", "U-7"):
        assert decided("set-user-override", before, user=user, provider=Role.LEGACY).accepted


@pytest.mark.parametrize("label", ["7", "last-known-good", ""])
def test_a_backup_has_a_name_nothing_else_has(label: str) -> None:
    assert decided("backup", state(), label=label).code == "invalid"


def test_backups_are_bounded_but_a_name_is_used_again() -> None:
    full = state(backups=MappingProxyType({f"b{n}": n for n in range(MAX_BACKUPS)}))
    assert decided("backup", full, label="one more").code == "too many"
    assert decided("backup", full, label="b1").after.backups["b1"] == 8


def test_a_restore_of_nothing_names_what_there_is() -> None:
    named = state(backups=MappingProxyType({"friday": 3}))
    refused = decided("restore", named, label="monday", older=None)
    assert (refused.code, "friday" in refused.text) == ("unknown version", True)


def test_a_breaker_reset_counts() -> None:
    once = decided("reset-breaker", state(), provider=Role.TARGET).after
    twice = decided("reset-breaker", once, provider=Role.TARGET).after
    assert twice.breaker_resets == {Role.TARGET: 2}


def test_a_raise_moves_nobody_back_and_a_drop_moves_nobody_on() -> None:
    buckets = [routing.bucket(f"+2609{n:08d}") for n in range(200_000)]
    steps = (0, 1, 5, 10, 25, 50, 75, 90, 95, 98, 100)
    taken = {at: {i for i, bucket in enumerate(buckets) if bucket < at} for at in steps}
    for low, high in pairwise(steps):
        assert taken[low] <= taken[high]
        assert abs(len(taken[high]) / 200_000 - high / 100) < 0.005
    assert routing.decide("+260977123456", None, None, state(50)).candidates


def test_the_picture_has_every_move_between_phases() -> None:
    drawn = picture()
    assert "NotStarted --> ParallelSetup: advance" in drawn
    assert "CompleteMigration --> Rollback: emergency-rollback" in drawn


# --- the rest of the refusals --------------------------------------------------------------------


def test_legacy_is_retired_at_the_full_share_alone() -> None:
    decision = decided("retire-legacy", state(95, Phase.COMPLETE_MIGRATION))
    assert (decision.code, decision.text) == ("range", "retire-legacy: expected 100 %, got 95 %")


def test_an_alert_that_is_not_open_cannot_be_acknowledged() -> None:
    assert decided("ack", state(), label="account", meant=()).code == "not open"


def test_flags_that_exclude_the_present_percentage_are_refused() -> None:
    narrow = replace(DEFAULT_RULES[Phase.GRADUAL_MIGRATION], low=50)
    phases = MappingProxyType({**DEFAULT_RULES, Phase.GRADUAL_MIGRATION: narrow})
    decision = decided("set-flags", state(25), flags=flags(phases=phases))
    assert decision.code == "range"
    assert "move the percentage first" in decision.text


def test_how_long_a_percentage_stood_must_be_known() -> None:
    assert verdicts(decided("step", state(since=None)))["time"] is GateVerdict.NOT_ENOUGH


def test_a_small_sample_says_how_long_it_takes_to_grow() -> None:
    decision = decided("step", state(), replace(FINE, accepted=50, per_s=1 / 6))
    assert "50 outcomes, about 5.0 min at the present rate" in decision.text


def test_with_four_eyes_what_raises_by_an_override_is_refused() -> None:
    standing = state(flags=FOUR)
    decision = decided("set-user-override", standing, user="ann", provider=Role.TARGET)
    assert decision.code == "four-eyes"
