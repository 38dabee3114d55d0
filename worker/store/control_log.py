"""The control log: flags and state as the `after` of the last entry of an append-only collection.

Rules: one insert `{_id: last + 1, ...}` is compare-and-set, immutable history and once-only (unique
user + commandId) in one write. Nothing is ever updated or removed. `version` rises only when the
state changes; `lineage` is a UUID in entry 1 and marks versions that compare.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError, PyMongoError

from worker.domain.flags import (
    AUTOMATIC,
    Flags,
    Lock,
    MigrationSettings,
    Proposal,
    RollbackPolicy,
    Snapshot,
    Thresholds,
)
from worker.domain.phases import Phase, Requirements, Role, Rules
from worker.domain.validation_settings import ValidationTraffic
from worker.ports import Clash, LogEntry, StoreAway

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.ports import Clock

COLLECTION: Final = "control_log"
_LOOK_BACK: Final = 200
"""Changes searched for a last-known-good version."""
Document = dict[str, Any]


class ControlLogStore:
    """The `ControlLog` port on MongoDB."""

    def __init__(self, collection: Any, clock: Clock) -> None:
        self._collection = collection
        self._clock = clock

    async def last(self) -> tuple[int, Snapshot] | None:
        """See `ControlLog.last`."""
        found = await self._read({}, limit=1)
        return (found[0]["_id"], snapshot(found[0]["after"])) if found else None

    async def append(self, entry: LogEntry) -> None:
        """See `ControlLog.append`."""
        document = {
            "_id": entry.number,
            "user": entry.user,
            "commandId": entry.command_id,
            "command": dict(entry.command),
            "verdict": entry.verdict,
            "version": entry.after.version,
            "changed": entry.before is None or entry.after.version != entry.before.version,
            "before": of_snapshot(entry.before) if entry.before else None,
            "after": of_snapshot(entry.after),
            "reply": dict(entry.reply),
            "evidence": dict(entry.evidence),
            "at": self._clock.now(),
        }
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError as error:
            raise Clash("another entry was appended first") from error
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error

    async def find(self, user: str, command_id: str) -> LogEntry | None:
        """See `ControlLog.find`."""
        found = await self._read({"user": user, "commandId": command_id}, limit=1)
        return _entry(found[0]) if found else None

    async def history(self, limit: int, before: int | None) -> list[LogEntry]:
        """See `ControlLog.history`."""
        query = {"_id": {"$lt": before}} if before is not None else {}
        return [_entry(document) for document in await self._read(query, limit)]

    async def state_at(self, version: int) -> Snapshot | None:
        """See `ControlLog.state_at`."""
        found = await self._read({"version": version, "changed": True}, limit=1)
        return snapshot(found[0]["after"]) if found else None

    async def known_good(self, for_s: float) -> Snapshot | None:
        """See `ControlLog.known_good`."""
        changes = await self._read({"changed": True}, limit=_LOOK_BACK)
        for later, earlier in pairwise(changes):
            stood = (later["at"] - earlier["at"]).total_seconds() >= for_s
            if stood and not _went_down(earlier, later) and not await self._held(earlier, later):
                return snapshot(earlier["after"])
        return None

    async def _held(self, earlier: Document, later: Document) -> bool:
        """Whether automation held for a reason in between."""
        between = {"$gt": earlier["_id"], "$lt": later["_id"]}
        hold = {"_id": between, "user": AUTOMATIC, "command.name": "hold"}
        return bool(await self._read(hold, limit=1))

    async def _read(self, query: Document, limit: int) -> list[Document]:
        try:
            cursor = self._collection.find(query).sort("_id", DESCENDING).limit(limit)
            found: list[Document] = await cursor.to_list(None)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return found


def _went_down(earlier: Document, later: Document) -> bool:
    """Whether automation ended the version by going down."""
    before, after = earlier["after"], later["after"]
    return bool(before.get("automaticDowns", []) != after.get("automaticDowns", []))


def _entry(document: Document) -> LogEntry:
    before = document["before"]
    return LogEntry(
        number=document["_id"],
        user=document["user"],
        command_id=document["commandId"],
        command=document["command"],
        verdict=document["verdict"],
        before=snapshot(before) if before else None,
        after=snapshot(document["after"]),
        reply=document["reply"],
        evidence=document["evidence"],
        at=document["at"],
    )


def of_snapshot(value: Snapshot) -> Document:
    """A snapshot as stored."""
    flags, lock, proposal = value.flags, value.lock, value.proposal
    return {
        "version": value.version,
        "lineage": value.lineage,
        "phase": str(value.phase),
        "percentage": value.percentage,
        "flags": {
            "targetEnabled": flags.target_enabled,
            "legacyEnabled": flags.legacy_enabled,
            "automaticRollback": flags.automatic_rollback,
            "rollbackPolicy": str(flags.rollback_policy),
            "thresholds": _fields(flags.thresholds),
            "migration": _migration(flags.migration),
            "phases": {str(phase): _rules(rules) for phase, rules in flags.phases.items()},
        },
        # Users are called anything: as pairs, dots and dollars in their names are data.
        "userOverrides": [[k, str(v)] for k, v in flags.user_overrides.items()],
        "branchOverrides": [[k, str(v)] for k, v in flags.branch_overrides.items()],
        "legacyRetired": value.legacy_retired,
        "held": value.held,
        "lock": _fields(lock) if lock else None,
        "proposal": {**_fields(proposal), "phase": str(proposal.phase)} if proposal else None,
        "breakerResets": {str(k): v for k, v in value.breaker_resets.items()},
        "lastPercentages": {str(k): v for k, v in value.last_percentages.items()},
        "backups": [[k, v] for k, v in value.backups.items()],
        "startedAt": value.started_at,
        "since": value.since,
        "initiatedBy": value.initiated_by,
        "previousPhase": str(value.previous_phase) if value.previous_phase else None,
        "notes": value.notes,
        "proven": list(value.proven),
        "automaticDowns": list(value.automatic_downs),
    }


def snapshot(document: Document) -> Snapshot:
    """A stored snapshot as a value."""
    lock, proposal, previous = document["lock"], document["proposal"], document["previousPhase"]
    return Snapshot(
        version=document["version"],
        lineage=document["lineage"],
        phase=Phase(document["phase"]),
        percentage=document["percentage"],
        flags=_flags(document),
        legacy_retired=document["legacyRetired"],
        held=document["held"],
        lock=Lock(**lock) if lock else None,
        proposal=Proposal(**{**proposal, "phase": Phase(proposal["phase"])}) if proposal else None,
        breaker_resets=_frozen((Role(k), v) for k, v in document["breakerResets"].items()),
        last_percentages=_frozen((Phase(k), v) for k, v in document["lastPercentages"].items()),
        backups=_frozen((k, v) for k, v in document["backups"]),
        started_at=document["startedAt"],
        since=document["since"],
        initiated_by=document["initiatedBy"],
        previous_phase=Phase(previous) if previous else None,
        notes=document["notes"],
        proven=tuple(document.get("proven", ())),  # entries from before evidence have neither
        automatic_downs=tuple(document.get("automaticDowns", ())),
    )


def _flags(document: Document) -> Flags:
    stored = document["flags"]
    return Flags(
        target_enabled=stored["targetEnabled"],
        legacy_enabled=stored["legacyEnabled"],
        automatic_rollback=stored["automaticRollback"],
        rollback_policy=RollbackPolicy(stored.get("rollbackPolicy", RollbackPolicy.EVIDENCE)),
        thresholds=Thresholds(**stored["thresholds"]),
        user_overrides=_frozen((k, Role(v)) for k, v in document["userOverrides"]),
        branch_overrides=_frozen((k, Role(v)) for k, v in document["branchOverrides"]),
        migration=_read_migration(stored["migration"]),
        phases=_frozen((Phase(k), _read_rules(v)) for k, v in stored["phases"].items()),
    )


def _migration(migration: MigrationSettings) -> Document:
    probes = migration.validation
    return {
        **_fields(migration),
        "notify": list(migration.notify),
        "validation": {
            **_fields(probes),
            "numbers": list(probes.numbers),
            "providers": [str(role) for role in probes.providers],
        },
    }


def _read_migration(document: Document) -> MigrationSettings:
    fields = {**document, "notify": tuple(document["notify"])}
    if (probes := document.get("validation")) is not None:  # entries from before have none
        fields["validation"] = ValidationTraffic(
            **{
                **probes,
                "numbers": tuple(probes["numbers"]),
                "providers": tuple(Role(each) for each in probes["providers"]),
            }
        )
    return MigrationSettings(**fields)


def _rules(rules: Rules) -> Document:
    asked = rules.requirements
    requirements = _fields(asked) if asked else None
    return {**_fields(rules), "steps": list(rules.steps), "requirements": requirements}


def _read_rules(document: Document) -> Rules:
    asked = document["requirements"]
    requirements = Requirements(**asked) if asked else None
    return Rules(**{**document, "steps": tuple(document["steps"]), "requirements": requirements})


def _fields(value: Any) -> Document:
    return {name: getattr(value, name) for name in value.__slots__}


def _frozen(pairs: Iterable[tuple[Any, Any]]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(dict(pairs))
