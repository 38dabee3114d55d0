"""Changes of flags, overrides, providers and backups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.changes import Change
from worker.domain.migration.overrides import MAX_OVERRIDES, look, user_key
from worker.domain.migration.phases import Role
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.domain.migration.flags import Flags
    from worker.domain.migration.snapshot import Snapshot

KNOWN_GOOD: Final = "last-known-good"
MAX_BACKUPS: Final = 200


@dataclass(frozen=True, slots=True)
class SetFlags(Change):
    """Replace the flags."""

    name = ChangeName.SET_FLAGS
    flags: Flags

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        rules = self.flags.phases[state.phase]
        if not rules.allows(state.percentage):
            raise ChangeRefused(
                ReplyCode.RANGE,
                f"set-flags: expected a range of {state.phase} that holds the present "
                f"{state.percentage} %, got {rules.low} to {rules.high}; move the percentage first",
            )
        retired = state.legacy_retired and not self.flags.legacy_enabled
        return replace(state, flags=self.flags, legacy_retired=retired)


@dataclass(frozen=True, slots=True)
class SetUserOverride(Change):
    """Send a user's messages to one provider."""

    name = ChangeName.SET_USER_OVERRIDE
    user: str
    provider: Role

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        users = state.flags.user_overrides
        _require_one_spelling(self.name, self.user, users)
        return _overridden(self.name, state, users={**users, self.user: self.provider})


@dataclass(frozen=True, slots=True)
class ClearUserOverride(Change):
    """Let the percentage decide on a user again."""

    name = ChangeName.CLEAR_USER_OVERRIDE
    user: str

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        return _overridden(self.name, state, users=_without(state.flags.user_overrides, self.user))


@dataclass(frozen=True, slots=True)
class SetBranchOverride(Change):
    """Send a branch's messages to one provider."""

    name = ChangeName.SET_BRANCH_OVERRIDE
    branch: int
    provider: Role

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        branches = {**state.flags.branch_overrides, self.branch: self.provider}
        return _overridden(self.name, state, branches=branches)


@dataclass(frozen=True, slots=True)
class ClearBranchOverride(Change):
    """Let the percentage decide on a branch again."""

    name = ChangeName.CLEAR_BRANCH_OVERRIDE
    branch: int

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        branches = _without(state.flags.branch_overrides, self.branch)
        return _overridden(self.name, state, branches=branches)


def _without(overrides: Mapping[Any, Role], key: object) -> dict[Any, Role]:
    return {each: role for each, role in overrides.items() if each != key}


def _overridden(
    name: ChangeName,
    state: Snapshot,
    *,
    users: Mapping[str, Role] | None = None,
    branches: Mapping[int, Role] | None = None,
) -> Snapshot:
    flags = state.flags
    users = flags.user_overrides if users is None else users
    branches = flags.branch_overrides if branches is None else branches
    if max(len(users), len(branches)) > MAX_OVERRIDES:
        raise ChangeRefused(
            ReplyCode.TOO_MANY,
            f"{name}: expected at most {MAX_OVERRIDES} overrides; clear some",
        )
    changed = replace(
        flags,
        user_overrides=MappingProxyType(dict(users)),
        branch_overrides=MappingProxyType(dict(branches)),
    )
    return replace(state, flags=changed)


def _require_one_spelling(name: ChangeName, given: str, users: Mapping[str, Role]) -> None:
    """Check the user of an override. A user in the flags may be cleared as it is spelled there."""
    try:
        user = user_key(given)
    except ValueError as expected:
        text = f"{name}: user: expected {expected}, got {given!r}"
        raise ChangeRefused(ReplyCode.INVALID, text) from None
    other = next((each for each in users if each != user and look(each) == look(user)), None)
    if other is not None:
        raise ChangeRefused(
            ReplyCode.INVALID,
            f"{name}: user: expected each once, {user!r} looks like {other!r}; use that one "
            "or clear it first",
        )


# --- providers -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnableProvider(Change):
    """Let a provider be chosen."""

    name = ChangeName.ENABLE_PROVIDER
    provider: Role

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        if self.provider is Role.TARGET:
            return replace(state, flags=replace(state.flags, target_enabled=True))
        flags = replace(state.flags, legacy_enabled=True)
        return replace(state, flags=flags, legacy_retired=False)


@dataclass(frozen=True, slots=True)
class DisableProvider(Change):
    """Never choose a provider."""

    name = ChangeName.DISABLE_PROVIDER
    provider: Role

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        if self.provider is Role.TARGET:
            return replace(state, flags=replace(state.flags, target_enabled=False))
        return replace(state, flags=replace(state.flags, legacy_enabled=False))


@dataclass(frozen=True, slots=True)
class ResetBreaker(Change):
    """Close a provider's circuit breaker on every replica."""

    name = ChangeName.RESET_BREAKER
    provider: Role

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        resets = {**state.breaker_resets}
        resets[self.provider] = resets.get(self.provider, 0) + 1
        return replace(state, breaker_resets=MappingProxyType(resets))


# --- backups -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backup(Change):
    """Give the version in force a name."""

    name = ChangeName.BACKUP
    label: str

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        label = self.label
        if not label or label.isdecimal() or label == KNOWN_GOOD:
            raise ChangeRefused(
                ReplyCode.INVALID,
                f"backup: expected a name that is no number and not {KNOWN_GOOD}: {label!r}",
            )
        if len(state.backups) >= MAX_BACKUPS and label not in state.backups:
            raise ChangeRefused(
                ReplyCode.TOO_MANY, f"backup: expected at most {MAX_BACKUPS} names; use one again"
            )
        backups = MappingProxyType({**state.backups, label: state.version})
        return replace(state, backups=backups)


@dataclass(frozen=True, slots=True)
class Restore(Change):
    """Put an older version's flags and state in force."""

    name = ChangeName.RESTORE
    label: str
    """The requested version: a backup's name, a version number, or `KNOWN_GOOD`."""
    older: Snapshot | None
    """The state of that version; None: there is no such version."""

    def effect(self, state: Snapshot, now: datetime) -> Snapshot:
        """See `Change.effect`."""
        older = self.older
        if older is None:
            names = ", ".join([*state.backups, KNOWN_GOOD, "a version number"])
            raise ChangeRefused(
                ReplyCode.UNKNOWN_VERSION, f"restore: no version {self.label!r}; known: {names}"
            )
        return replace(
            state,
            phase=older.phase,
            percentage=older.percentage,
            flags=older.flags,
            legacy_retired=older.legacy_retired,
            proposal=None,
        )
