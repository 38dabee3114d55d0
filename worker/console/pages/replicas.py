"""The section "Replicas": which version each has applied, what it has in hand, its breakers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console import formats, wording
from worker.console.pages.providers import CLOSED
from worker.domain.migration.replicas import short_id

if TYPE_CHECKING:
    from contracts.answers import ReplicaStatus
    from worker.console.pages.facts import Facts

MOST: Final = 3
"""Rows that fit; the rest stands behind `Details`."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A live replica."""

    name: str
    version: str
    """`version 41`, and whether that is behind."""
    in_hand: str
    seen: str
    trouble: str
    """Breakers that are not closed, faults, and that it consumes nothing; empty: nothing of it."""
    software: str
    is_behind: bool
    is_well: bool
    full: str
    """Its whole id, host and start."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """The section."""

    rows: tuple[Replica, ...]
    more: tuple[Replica, ...]
    live: str
    nothing: str
    """Why there are none; empty: there are."""


def replicas(facts: Facts) -> Replicas:
    """The live replicas, those in trouble first."""
    listed = (facts.status.replicas if facts.status else None) or []
    version = facts.state.version if facts.state else None
    rows = [_replica(each, version, facts.legacy_id) for each in listed]
    rows.sort(key=lambda each: each.is_well)
    own = facts.state is not None and not listed
    return Replicas(
        rows=tuple(rows[:MOST]),
        more=tuple(rows[MOST:]),
        live=f"{len(rows)} live" if facts.status else "",
        nothing="" if rows else _nothing(facts, own=own),
    )


def _nothing(facts: Facts, *, own: bool) -> str:
    if own and facts.state is not None and facts.known.store_away:
        return f"Not known. One replica goes by version {facts.state.version}."
    return "None is live." if facts.status else "Not known."


def _replica(status: ReplicaStatus, version: int | None, legacy: str) -> Replica:
    behind = version is not None and (status.applied is None or status.applied < version)
    trouble = _trouble(status, legacy)
    where = f" on {status.host}" if status.host else ""
    start = f", since {formats.utc(status.started_at)}" if status.started_at else ""
    applied = "no version" if status.applied is None else f"version {status.applied}"
    return Replica(
        name=short_id(status.replica),
        version=f"{applied}, behind" if behind else applied,
        in_hand=f"{formats.count(status.in_hand)} in hand",
        seen=formats.age(status.age_s).replace("just now", "just seen"),
        trouble=trouble,
        software=status.software or "",
        is_behind=behind,
        is_well=not trouble and not behind,
        full=f"{status.replica}{where}{start}",
    )


def _whose(ident: str, legacy: str) -> str:
    """Names legacy; the target needs no name."""
    return f"{wording.provider(ident)}: " if ident == legacy else ""


def _trouble(status: ReplicaStatus, legacy: str) -> str:
    said = [
        f"{_whose(ident, legacy)}breaker {state.replace('-', ' ')}"
        for ident, state in status.breakers.items()
        if state != CLOSED
    ]
    said += [f"{_whose(ident, legacy)}account refused" for ident in status.faults]
    if not status.consuming:
        said.append("takes no messages")
    return "; ".join(said)
