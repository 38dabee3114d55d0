"""Reads and writes the names of the two providers.

Rules: people may name a provider by its role, its id or a common spelling, in any case. It is
called by one name wherever people read it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.domain.migration.phases import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

DISPLAY_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"africastalking": "Africa's Talking", "legacy": "Legacy"}
)
"""What people call a provider, by its id."""


def display_name(provider: str) -> str:
    """What people call a provider; an id without a name of its own stays as it is."""
    return DISPLAY_NAMES.get(provider, provider)


def role_named(name: object, target_id: str, legacy_id: str) -> Role | None:
    """The role of the provider that is called `name`; None: neither provider is."""
    if not isinstance(name, str):
        return None
    wanted = _plain(name)
    for role, ident in ((Role.TARGET, target_id), (Role.LEGACY, legacy_id)):
        if wanted in (_plain(role), _plain(ident)):
            return role
    return Role.TARGET if wanted == "africastalking" and legacy_id != wanted else None


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
