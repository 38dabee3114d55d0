"""The view "More": overrides, providers and backups, and what is rare and heavy.

Rules: pure and total. A button is shown only to who may give its command.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from worker.console.steering.catalogue import CATALOGUE
from worker.console.steering.fields import KNOWN_GOOD
from worker.console.steering.overrides import Overrides, features, overrides
from worker.console.steering.rights import may_try
from worker.domain.migration.phases import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.answers import ReplicaStatus
    from contracts.control_views import StateView
    from worker.console.viewer import Viewer
    from worker.domain.migration.effect import Names

MOST: Final = 1_000
"""Overrides that are shown; the flags hold no more of a kind."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the view is made from."""

    state: StateView | None
    """What is in force; None: it is not known."""
    replicas: tuple[ReplicaStatus, ...]
    """Those that live."""
    ids: Mapping[str, str]
    """Provider id by role."""
    names: Names

    def called(self, role: str) -> str:
        """What people call a provider; one that is no role here keeps its name."""
        return {"target": self.names.target, "legacy": self.names.legacy}.get(role, role)

    def is_enabled(self, role: Role) -> bool:
        """Whether a provider may be chosen at all."""
        flag = "EnableAfricasTalking" if role is Role.TARGET else "EnableLegacy"
        return self.state is not None and features(self.state).get(flag) is not False


@dataclass(frozen=True, slots=True)
class Opens:
    """A button that opens the dialog of a command."""

    label: str
    command: str
    fields: tuple[tuple[str, str], ...] = ()
    """What the dialog opens with, by the field's name."""
    about: str = ""
    """For who does not see the row."""


@dataclass(frozen=True, slots=True)
class Override:
    """A user or branch that is fixed to a provider."""

    key: str
    provider: str
    clear: Opens | None


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """A provider."""

    name: str
    is_enabled: bool
    breaker: str
    """In words, over all replicas."""
    buttons: tuple[Opens, ...]


@dataclass(frozen=True, slots=True)
class BackupRow:
    """A version with a name."""

    name: str
    what: str
    restore: Opens | None


@dataclass(frozen=True, slots=True)
class More:
    """The view."""

    is_known: bool
    users: tuple[Override, ...]
    branches: tuple[Override, ...]
    set_user: Opens | None
    set_branch: Opens | None
    providers: tuple[ProviderRow, ...]
    backups: tuple[BackupRow, ...]
    back_up: Opens | None
    restore: Opens | None
    rare: tuple[Opens, ...]


def more(seen: Seen, viewer: Viewer) -> More:
    """Make the view."""
    state, names = seen.state, seen.names
    fixed = overrides(state) if state else Overrides({}, {})
    rare = (
        _opens(viewer, "advance", "Advance…"),
        _opens(viewer, "rollback", "Roll back a phase…"),
        _opens(viewer, "retire-legacy", f"Retire {names.legacy}…"),
    )
    return More(
        is_known=state is not None,
        users=_fixed(fixed.users, "user", seen, viewer),
        branches=_fixed(fixed.branches, "branch", seen, viewer),
        set_user=_opens(viewer, "set-user-override", "Fix a user…"),
        set_branch=_opens(viewer, "set-branch-override", "Fix a branch…"),
        providers=tuple(_provider(role, seen, viewer) for role in Role) if state else (),
        backups=_backups(state, viewer) if state else (),
        back_up=_opens(viewer, "backup", "Back up…"),
        restore=_opens(viewer, "restore", "Restore another version…"),
        rare=tuple(each for each in rare if each is not None),
    )


def _opens(
    viewer: Viewer, command: str, label: str, about: str = "", **fields: str
) -> Opens | None:
    if not may_try(viewer, CATALOGUE[command]):
        return None
    return Opens(label, command, tuple(fields.items()), about)


def _fixed(roles: Mapping[str, str], kind: str, seen: Seen, viewer: Viewer) -> tuple[Override, ...]:
    clear = f"clear-{kind}-override"
    return tuple(
        Override(key, seen.called(role), _opens(viewer, clear, "Clear…", key, **{kind: key}))
        for key, role in islice(sorted(roles.items()), MOST)
    )


def _provider(role: Role, seen: Seen, viewer: Viewer) -> ProviderRow:
    name = seen.called(role)
    is_enabled = seen.is_enabled(role)
    change, label = ("disable", "Disable…") if is_enabled else ("enable", "Enable…")
    buttons = (
        _opens(viewer, f"{change}-provider", label, name, provider=str(role)),
        _opens(viewer, "reset-breaker", "Reset breaker…", name, provider=str(role)),
    )
    shown = tuple(each for each in buttons if each is not None)
    return ProviderRow(name, is_enabled, _breaker(role, seen), shown)


def _breaker(role: Role, seen: Seen) -> str:
    """The breaker over all replicas, in words."""
    ident = seen.ids.get(role, "")
    states = [each.breakers.get(ident, "not known") for each in seen.replicas]
    if not states:
        return "not known"
    counts = {state: states.count(state) for state in dict.fromkeys(sorted(states))}
    if len(counts) == 1:
        return states[0].replace("_", " ")
    return ", ".join(f"{state.replace('_', ' ')} on {count}" for state, count in counts.items())


def _backups(state: StateView, viewer: Viewer) -> tuple[BackupRow, ...]:
    named = sorted(state.backups.items(), key=lambda each: each[1], reverse=True)
    rows = [(name, f"version {version}") for name, version in named]
    rows.append((KNOWN_GOOD, "the last version that stood 30 minutes without an alarm"))
    return tuple(
        BackupRow(name, what, _opens(viewer, "restore", "Restore…", name, to=name))
        for name, what in rows
    )
