"""Reads the names of the two providers: role, id or a common spelling, in any case."""

from __future__ import annotations

from worker.domain.migration.phases import Role


def role_named(name: object, target_id: str, legacy_id: str) -> Role | None:
    """The role of the provider that is called `name`; None: neither provider is."""
    if not isinstance(name, str):
        return None
    wanted = plain_name(name)
    for role, ident in ((Role.TARGET, target_id), (Role.LEGACY, legacy_id)):
        if wanted in (plain_name(role), plain_name(ident)):
            return role
    return Role.TARGET if wanted == "africastalking" and legacy_id != wanted else None


def plain_name(name: str) -> str:
    """A name without case, blanks and punctuation: `Africa's Talking` is `africastalking`."""
    return "".join(c for c in name.lower() if c.isalnum())
