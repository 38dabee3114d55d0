"""Overrides, providers, backups; buttons for who may give their commands."""

from __future__ import annotations

from typing import Any

from contracts.answers import ReplicaStatus
from tests.unit.console.steering.made import NAMES, state, viewer
from worker.console.views.more import More, Seen, more

IDS = {"target": "africastalking", "legacy": "legacy"}
OPERATORS = frozenset({"hold", "rollback", "emergency-rollback"})


def replica(**breakers: str) -> ReplicaStatus:
    return ReplicaStatus(
        replica="r", applied=41, oldest_unsent=None, breakers=breakers, faults={}, in_hand=0,
        consuming=True, age_s=0.1,
    )  # fmt: skip


def shown(role: str = "administrator", replicas: tuple[Any, ...] = (), **fields: Any) -> More:
    rights = {"administrator": {}, "operator": {"commands": OPERATORS}, "observer": {}}
    who = viewer(role, **(rights[role] if role != "observer" else {"commands": frozenset()}))
    return more(Seen(state(**fields), replicas, IDS, NAMES), who)


def test_overrides_are_listed_with_their_providers_and_a_way_to_clear_each() -> None:
    page = shown(users={"u-2": "legacy", "u-1": "target"}, branches={"7": "legacy"})
    assert [(row.key, row.provider) for row in page.users] == [
        ("u-1", "Africa's Talking"),
        ("u-2", "Legacy"),
    ]
    clear = page.branches[0].clear
    assert clear is not None
    assert (clear.command, clear.fields) == ("clear-branch-override", (("branch", "7"),))


def test_a_provider_is_enabled_or_disabled_and_its_breaker_is_said() -> None:
    replicas = (
        replica(africastalking="open", legacy="closed"),
        replica(africastalking="half_open", legacy="closed"),
    )
    target, legacy = shown(replicas=replicas, features={"EnableLegacy": False}).providers
    assert (target.is_enabled, target.breaker) == (True, "half open on 1, open on 1")
    assert (legacy.is_enabled, legacy.breaker) == (False, "closed")
    assert [each.label for each in target.buttons] == ["Disable…", "Reset breaker…"]
    assert [each.label for each in legacy.buttons] == ["Enable…", "Reset breaker…"]
    assert legacy.buttons[0].fields == (("provider", "legacy"),)


def test_without_replicas_a_breaker_is_not_known() -> None:
    assert shown().providers[0].breaker == "not known"


def test_backups_are_listed_the_newest_first_and_then_the_last_known_good() -> None:
    page = shown(backups={"before": 3, "week 2": 17})
    assert [(row.name, row.what) for row in page.backups][:2] == [
        ("week 2", "version 17"),
        ("before", "version 3"),
    ]
    assert page.backups[-1].name == "last-known-good"
    restore = page.backups[0].restore
    assert restore is not None
    assert restore.fields == (("to", "week 2"),)


def test_an_observer_has_no_button() -> None:
    page = shown("observer", users={"u-1": "target"}, backups={"before": 3})
    rows = [page.users[0].clear, *(row.restore for row in page.backups)]
    assert not any((*rows, page.set_user, page.set_branch, page.back_up, page.restore, *page.rare))
    assert not any(row.buttons for row in page.providers)


def test_an_operator_has_buttons_for_what_its_effect_decides() -> None:
    page = shown("operator")
    assert [each.command for each in page.providers[0].buttons] == ["disable-provider"]
    assert [each.command for each in page.rare] == ["rollback"]


def test_without_a_state_nothing_is_listed() -> None:
    page = more(Seen(None, (), {}, NAMES), viewer())
    assert (page.is_known, page.users, page.providers, page.backups) == (False, (), (), ())
