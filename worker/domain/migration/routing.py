"""Decides to which provider a message goes, and why.

Rules: pure; the same input gives the same candidates on every replica. If the percentage rises, no
number moves back to legacy (`bucket < percentage` is monotone). A disabled provider is never
chosen. A probe goes only to the provider it is about. The reason is part of the decision and stays
the same in record, log, event and console.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.migration.phases import LEGACY_ALONE, Role

if TYPE_CHECKING:
    from worker.domain.migration.snapshot import Snapshot

_BUCKETS = 100


@dataclass(frozen=True, slots=True)
class Route:
    """The candidates, in the order in which they are tried."""

    candidates: tuple[Role, ...]
    reason: str
    assigned: bool = False
    """Whether the percentage hash decided. Only such an assignment counts as evidence."""
    skipped: tuple[Role, ...] = ()
    """Roles passed over because their breaker is open."""
    busy: tuple[Role, ...] = ()
    """Roles passed over because they take no more calls now, which is no failure."""
    preferred: Role | None = None
    """The first role by the rules alone, without breakers and queues. Any other is a fallback."""


def bucket(e164: str) -> int:
    """Bucket 0..99 of a recipient: SHA-1 of the UTF-8 number, as the replaced system did it."""
    return bucket_of_digest(hashlib.sha1(e164.encode(), usedforsecurity=False).digest())


def bucket_of_digest(digest: bytes) -> int:
    """Read four bytes as a little-endian signed 32-bit integer; its absolute value modulo 100.

    Python's integers do not overflow, so -2**31 has an absolute value here (bucket 48). The
    replaced system raised an error for it.
    """
    return abs(int.from_bytes(digest[:4], "little", signed=True)) % _BUCKETS


def decide(
    to: str,
    user_id: str | None,
    branch_id: int | None,
    snapshot: Snapshot,
    blocked: frozenset[Role] = frozenset(),
    *,
    busy: frozenset[Role] = frozenset(),
    probe: Role | None = None,
) -> Route:
    """Order the candidates for one message.

    Args:
        to: the recipient in E.164.
        user_id: the message's user, for overrides.
        branch_id: the message's branch, for overrides.
        snapshot: flags and state in force.
        blocked: roles whose breaker is open now.
        busy: roles whose breaker allows calls, but whose provider takes no more calls now.
        probe: the role that a probe validates; None: no probe.
    """
    if probe is not None:
        return _probe(probe, snapshot, blocked, busy)
    first, reason, assigned = _preferred(to, user_id, branch_id, snapshot)
    enabled = tuple(role for role in (first, first.other) if in_service(role, snapshot))
    if not enabled:
        return Route((), f"{reason}; no enabled provider has a role")
    if enabled[0] is not first:
        reason = f"{reason}; {first} disabled"
    waited_for = busy - blocked
    if enabled[0] in waited_for:
        reason = f"{reason}; {enabled[0]} takes no more now"
    return Route(
        candidates=tuple(role for role in enabled if role not in blocked | busy),
        reason=reason,
        assigned=assigned and enabled[0] is first,
        skipped=tuple(role for role in enabled if role in blocked),
        busy=tuple(role for role in enabled if role in waited_for),
        preferred=enabled[0],
    )


def in_service(role: Role, snapshot: Snapshot) -> bool:
    """Whether messages may go through it: it has a role in the phase and is enabled."""
    with_role = role is Role.LEGACY or snapshot.phase not in LEGACY_ALONE
    return with_role and snapshot.flags.enabled(role)


def _probe(
    role: Role, snapshot: Snapshot, blocked: frozenset[Role], busy: frozenset[Role]
) -> Route:
    if not in_service(role, snapshot):
        return Route((), f"validation: {role} is not in service")
    if role in blocked:
        reason = f"validation: the breaker of {role} is open"
        return Route((), reason, skipped=(role,), preferred=role)
    if role in busy:
        reason = f"validation: {role} takes no more now"
        return Route((), reason, busy=(role,), preferred=role)
    return Route((role,), f"validation: {role}", preferred=role)


def _preferred(
    to: str, user_id: str | None, branch_id: int | None, snapshot: Snapshot
) -> tuple[Role, str, bool]:
    override, whose = _override(user_id, branch_id, snapshot)
    if snapshot.phase in LEGACY_ALONE:
        ignored = f"; {whose} override to target ignored" if override is Role.TARGET else ""
        return Role.LEGACY, f"phase {snapshot.phase}: legacy alone{ignored}", False
    if override is not None:
        return override, f"{whose} override", False
    place = bucket(to)
    if place < snapshot.percentage:
        return Role.TARGET, f"percentage: bucket {place} < {snapshot.percentage}", True
    return Role.LEGACY, f"percentage: bucket {place} >= {snapshot.percentage}", True


def _override(
    user_id: str | None, branch_id: int | None, snapshot: Snapshot
) -> tuple[Role | None, str]:
    flags = snapshot.flags
    if user_id is not None and user_id in flags.user_overrides:
        return flags.user_overrides[user_id], "user"
    if branch_id is not None and branch_id in flags.branch_overrides:
        return flags.branch_overrides[branch_id], "branch"
    return None, ""
