"""Overrides of users and branches in a flags document, compared.

Rules: pure and total: a document of another version may hold anything, and what is no override is
left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.domain.migration.phases import LEGACY_ALONE, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.control_views import StateView

SECTION: Final = "SmsFeatureFlags"


@dataclass(frozen=True, slots=True)
class Overrides:
    """Roles by user and by branch, as a flags document spells them."""

    users: Mapping[str, str]
    branches: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.users) + len(self.branches)

    def towards(self, role: Role) -> Overrides:
        """Those to one provider."""
        return self._those(lambda _, value, __: value == role, self)

    def without(self, other: Overrides) -> Overrides:
        """Those that the other does not hold with the same role."""
        return self._those(lambda key, value, theirs: theirs.get(key) != value, other)

    def without_keys_of(self, other: Overrides) -> Overrides:
        """Those whose user or branch the other does not name."""
        return self._those(lambda key, _, theirs: key not in theirs, other)

    def same_in(self, other: Overrides) -> Overrides:
        """Those that the other holds with the same role."""
        return self._those(lambda key, value, theirs: theirs.get(key) == value, other)

    def _those(self, chosen: Any, other: Overrides) -> Overrides:
        return Overrides(
            {k: v for k, v in self.users.items() if chosen(k, v, other.users)},
            {k: v for k, v in self.branches.items() if chosen(k, v, other.branches)},
        )


def overrides(state: StateView) -> Overrides:
    """The overrides in the flags of a state."""
    section = features(state)
    return Overrides(_roles(section.get("UserOverrides")), _roles(section.get("BranchOverrides")))


def features(state: StateView) -> Mapping[str, Any]:
    """The feature flags of a state; empty where they cannot be read."""
    section = state.flags.get(SECTION)
    return section if isinstance(section, dict) else {}


def destination(role: Role, state: StateView) -> Role:
    """Where a message goes that an override sends to the provider of that role."""
    enabled = {
        Role.TARGET: features(state).get("EnableAfricasTalking") is not False
        and state.phase not in LEGACY_ALONE,
        Role.LEGACY: features(state).get("EnableLegacy") is not False,
    }
    return role if enabled[role] or not enabled[role.other] else role.other


def _roles(section: Any) -> Mapping[str, str]:
    if not isinstance(section, dict):
        return {}
    return {str(key): value for key, value in section.items() if isinstance(value, str)}
