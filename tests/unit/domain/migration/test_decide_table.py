"""Every cell of phase x command x role: what is accepted, and into what; the rest is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from tests.support.changes import KINDS, change
from tests.support.control_fakes import PROVEN
from tests.support.fakes import EPOCH, snapshot
from worker.domain.alerts.notices import Alert
from worker.domain.messages.consent import Wish, WishChange
from worker.domain.messages.message import Recipient
from worker.domain.migration.access import AccessRole
from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.decide import Decision, decide
from worker.domain.migration.flags import Flags
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import Phase, Role
from worker.domain.migration.snapshot import Lock, Proposal, Snapshot

if TYPE_CHECKING:
    from worker.domain.migration.changes import Change

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
STANDS = {
    Phase.NOT_STARTED: 0,
    Phase.PARALLEL_SETUP: 1,
    Phase.GRADUAL_MIGRATION: 25,
    Phase.LEGACY_DEPRECATION: 90,
    Phase.COMPLETE_MIGRATION: 100,
    Phase.ROLLBACK: 0,
}
"""Percentage each phase is tried at."""
WAYS = {
    "advance": {
        Phase.NOT_STARTED: "ParallelSetup 1",
        Phase.PARALLEL_SETUP: "GradualMigration 25",
        Phase.GRADUAL_MIGRATION: "LegacyDeprecation 75",
        Phase.LEGACY_DEPRECATION: "CompleteMigration 100",
        Phase.ROLLBACK: "ParallelSetup 1",
    },
    "step": {
        Phase.PARALLEL_SETUP: "ParallelSetup 5",
        Phase.GRADUAL_MIGRATION: "GradualMigration 50",
        Phase.LEGACY_DEPRECATION: "LegacyDeprecation 95",
    },
    "set-percentage": {phase: f"{phase} 0" for phase in Phase},
    "rollback": {
        Phase.PARALLEL_SETUP: "NotStarted 0",
        Phase.GRADUAL_MIGRATION: "ParallelSetup 1",
        Phase.LEGACY_DEPRECATION: "GradualMigration 25",
        Phase.COMPLETE_MIGRATION: "LegacyDeprecation 75",
    },
    "emergency-rollback": dict.fromkeys(Phase, "Rollback 0"),
    "retire-legacy": {Phase.COMPLETE_MIGRATION: "CompleteMigration 100"},
}
"""Where the orders that move lead to; a phase that is missing refuses."""
STAYING = frozenset(ChangeName) - WAYS.keys()
OPERATORS = {"hold", "rollback", "emergency-rollback", "set-percentage", "step", "ack"}
STATELESS = {"ack", "add-suppression", "remove-suppression"}
"""Orders that are carried out and leave the state as it is."""
NO_MOVE_FOR_OPERATORS = {"disable-provider"}
ANN = Recipient("hash", "+260******456")
UNWANTED = Wish("promo", stopped=True, at=EPOCH, source="callback of at")
BACK = Wish("", stopped=False, at=EPOCH + timedelta(hours=1), source="command of ann")
FIELDS = {
    "set-percentage": {"percentage": 0},
    "approve": {"proposal": 9},
    "reject": {"proposal": 9},
    "set-flags": {"flags": Flags(automatic_rollback=False)},
    "set-user-override": {"user": "u", "provider": Role.LEGACY},
    "clear-user-override": {"user": "set"},
    "set-branch-override": {"branch": 1, "provider": Role.LEGACY},
    "clear-branch-override": {"branch": 2},
    "enable-provider": {"provider": Role.TARGET},
    "disable-provider": {"provider": Role.TARGET},
    "reset-breaker": {"provider": Role.TARGET},
    "backup": {"label": "friday"},
    "add-suppression": {"wish": WishChange(ANN, Wish("", stopped=True, at=EPOCH, source="ann"))},
    "remove-suppression": {"wish": WishChange(ANN, BACK, (UNWANTED,))},
    "ack": {
        "label": "account",
        "meant": (Alert("a-1", "account", None, "critical", "401", EPOCH, EPOCH, ends=True),),
    },
}


def standing(phase: Phase) -> Snapshot:
    at = STANDS[phase]
    stamped = snapshot(
        at, phase, 8, user_overrides={"set": Role.TARGET}, branch_overrides={2: Role.TARGET}
    )
    return replace(
        stamped,
        since=EPOCH,
        started_at=EPOCH,
        lock=Lock(EPOCH, "over"),
        held=False,
        proposal=Proposal(9, "ben", phase, at, NOW + timedelta(hours=1)),
        last_percentages=MappingProxyType({Phase.GRADUAL_MIGRATION: 25}),
    )


def asked(name: str, role: AccessRole, state: Snapshot) -> Change:
    older = replace(state, notes="older", flags=replace(state.flags, automatic_rollback=False))
    fields = {"restore": {"label": "7", "older": older}}.get(name, FIELDS.get(name, {}))
    return change(name, role=role, **fields)


def told_how_to_go_on(decision: Decision, name: str) -> bool:
    ways = ("expected", "possible", "first", "advance", "ask", "wait", "override", "look")
    return name in decision.text and any(word in decision.text for word in ways)


def may(name: str, role: AccessRole, phase: Phase) -> bool:
    if role is AccessRole.OPERATOR:
        lowers = name == "disable-provider" and STANDS[phase] > 0
        return name in OPERATORS or lowers
    return role is AccessRole.ADMINISTRATOR


@pytest.mark.parametrize("role", AccessRole)
@pytest.mark.parametrize("name", sorted(ChangeName))
@pytest.mark.parametrize("phase", Phase)
def test_a_cell(phase: Phase, name: str, role: AccessRole) -> None:
    state = standing(phase)
    decision = decide(asked(name, role, state), state, FINE, NOW)
    impossible = name in WAYS and phase not in WAYS[name]
    if impossible or not may(name, role, phase):
        assert not decision.accepted
        assert decision.after is None
        assert decision.code in (("phase", "last step") if impossible else ("forbidden",))
        assert told_how_to_go_on(decision, name), decision.text
        return
    assert decision.accepted, decision.text
    assert name in decision.text or decision.code == "unchanged"
    after = decision.after or state
    wanted = WAYS.get(name, {}).get(phase, f"{phase} {STANDS[phase]}")
    assert f"{after.phase} {after.percentage}" == wanted
    assert after.version == (9 if decision.after else 8)
    assert (decision.after is None) == (decision.code == "unchanged" or name in STATELESS)


def test_the_table_is_of_every_order_there_is() -> None:
    from contracts.control import COMMANDS  # noqa: PLC0415 - the wire's list against the core's

    assert {kind.model_fields["name"].default for kind in COMMANDS} == set(ChangeName)
    assert set(WAYS) | STAYING == set(ChangeName)
    assert set(KINDS) == set(ChangeName)
