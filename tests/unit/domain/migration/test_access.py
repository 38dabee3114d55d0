"""The commands a role is told it may give, against the rule that decides on each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.changes import change
from tests.support.fakes import EPOCH, snapshot
from worker.domain.alerts.notices import Alert
from worker.domain.messages.consent import Wish, WishChange
from worker.domain.messages.message import Recipient
from worker.domain.migration.access import AccessRole, commands_of, require_role
from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.direction import raises
from worker.domain.migration.flags import Flags
from worker.domain.migration.phases import DEFAULT_RULES, Phase, Role
from worker.domain.migration.snapshot import Lock, Proposal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.domain.migration.snapshot import Snapshot

SOON = EPOCH + timedelta(hours=1)
WISH = WishChange(
    Recipient("hash", "+260******456"), Wish("", stopped=True, at=EPOCH, source="ann")
)
OPEN = Alert("a-1", "account", None, "critical", "401", EPOCH, EPOCH, ends=True)
PROVIDERS = [{"provider": role} for role in Role]
FIELDS: dict[str, list[dict[str, Any]]] = {
    "advance": [{}, {"percentage": 0}],
    "set-percentage": [{"percentage": each} for each in (0, 1, 10, 50, 98, 100)],
    "approve": [{"proposal": 9}],
    "reject": [{"proposal": 9}],
    "set-flags": [{"flags": Flags(legacy_enabled=on)} for on in (True, False)],
    "set-user-override": [{"user": "u"} | each for each in PROVIDERS],
    "clear-user-override": [{"user": "set"}],
    "set-branch-override": [{"branch": 1} | each for each in PROVIDERS],
    "clear-branch-override": [{"branch": 2}],
    "enable-provider": PROVIDERS,
    "disable-provider": PROVIDERS,
    "reset-breaker": PROVIDERS,
    "backup": [{"label": "friday"}],
    "restore": [
        {"label": "7", "older": snapshot(each, Phase.GRADUAL_MIGRATION, 7)} for each in (0, 50)
    ],
    "ack": [{"label": "account", "meant": (OPEN,)}],
    "add-suppression": [{"wish": WISH}],
    "remove-suppression": [{"wish": WISH}],
}
"""What each change is tried with."""


def states() -> Iterator[Snapshot]:
    """Each phase at its ends and its steps, with either provider enabled or not."""
    for phase, target, legacy in product(Phase, (True, False), (True, False)):
        rules = DEFAULT_RULES[phase]
        for percentage in {0, rules.entry, rules.high, *rules.steps}:
            yield replace(
                snapshot(
                    percentage, phase, 8,
                    target_enabled=target, legacy_enabled=legacy,
                    user_overrides={"set": Role.LEGACY}, branch_overrides={2: Role.LEGACY},
                ),
                lock=Lock(SOON, "over"),
                held=True,
                proposal=Proposal(9, "ben", Phase.GRADUAL_MIGRATION, 25, SOON),
                last_percentages=MappingProxyType({Phase.GRADUAL_MIGRATION: 25}),
            )  # fmt: skip


def allowed(name: ChangeName, role: AccessRole, state: Snapshot) -> Iterator[bool]:
    """Whether the role may request it, for each thing it may lead to from here."""
    for fields in FIELDS.get(name, [{}]):
        made = change(name, role=role, **fields)
        try:
            wanted = made.effect(state, EPOCH)
        except ChangeRefused:
            continue
        try:
            require_role(made, state, wanted, upward=raises(state, wanted))
        except ChangeRefused:
            yield False
        else:
            yield True


@pytest.mark.parametrize("role", AccessRole)
@pytest.mark.parametrize("name", ChangeName)
def test_a_command_is_named_to_a_role_where_no_effect_of_it_is_refused(
    name: ChangeName, role: AccessRole
) -> None:
    found = [each for state in states() for each in allowed(name, role, state)]
    assert found
    assert (name in commands_of(role)) is all(found)


def test_an_operator_may_disable_the_target_and_not_legacy() -> None:
    state = snapshot(25, Phase.GRADUAL_MIGRATION)
    found = list(allowed(ChangeName.DISABLE_PROVIDER, AccessRole.OPERATOR, state))
    assert found == [True, False]
