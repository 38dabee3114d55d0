"""The control log: flags and state as the `after` of the last entry of an append-only collection.

Rules: one insert `{_id: last + 1, ...}` is compare-and-set, immutable history and once-only (unique
user + commandId) in one write. Nothing is ever updated or removed. `version` rises only when the
state changes; `lineage` is a UUID in entry 1 and marks versions that compare.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError, PyMongoError

from worker.domain.flags import Flags, MigrationSettings, Snapshot, Thresholds
from worker.domain.phases import Phase, Role
from worker.ports import Clash, StoreAway

if TYPE_CHECKING:
    from worker.ports import Clock, LogEntry

COLLECTION: Final = "control_log"
Document = dict[str, Any]


class ControlLogStore:
    """The `ControlLog` port on MongoDB."""

    def __init__(self, collection: Any, clock: Clock) -> None:
        self._collection = collection
        self._clock = clock

    async def last(self) -> Snapshot | None:
        """See `ControlLog.last`."""
        document = await self._last()
        return snapshot(document["after"]) if document else None

    async def append(self, entry: LogEntry) -> Snapshot:
        """See `ControlLog.append`."""
        last = await self._last()
        standing = snapshot(last["after"]) if last else None
        if standing != entry.before:
            raise Clash("the state changed since it was read")
        document = {
            "_id": last["_id"] + 1 if last else 1,
            "user": entry.user,
            "commandId": entry.command_id,
            "command": dict(entry.command),
            "reason": entry.reason,
            "before": last["after"] if last else None,
            "after": of_snapshot(entry.after),
            "at": self._clock.now(),
        }
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError as error:
            raise Clash("another entry was appended first") from error
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return entry.after

    async def _last(self) -> Document | None:
        try:
            found: Document | None = await self._collection.find_one(sort=[("_id", DESCENDING)])
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return found


def of_snapshot(value: Snapshot) -> Document:
    """A snapshot as stored."""
    flags = value.flags
    return {
        "version": value.version,
        "lineage": value.lineage,
        "phase": str(value.phase),
        "percentage": value.percentage,
        "flags": {
            "targetEnabled": flags.target_enabled,
            "legacyEnabled": flags.legacy_enabled,
            "automaticRollback": flags.automatic_rollback,
            "thresholds": _fields(flags.thresholds),
            "migration": {**_fields(flags.migration), "notify": list(flags.migration.notify)},
        },
        # Users are called anything: as pairs, dots and dollars in their names are data.
        "userOverrides": [[k, str(v)] for k, v in flags.user_overrides.items()],
        "branchOverrides": [[k, str(v)] for k, v in flags.branch_overrides.items()],
    }


def snapshot(document: Document) -> Snapshot:
    """A stored snapshot as a value."""
    stored = document["flags"]
    migration = {**stored["migration"], "notify": tuple(stored["migration"]["notify"])}
    return Snapshot(
        version=document["version"],
        lineage=document["lineage"],
        phase=Phase(document["phase"]),
        percentage=document["percentage"],
        flags=Flags(
            target_enabled=stored["targetEnabled"],
            legacy_enabled=stored["legacyEnabled"],
            automatic_rollback=stored["automaticRollback"],
            thresholds=Thresholds(**stored["thresholds"]),
            user_overrides=_overrides(document["userOverrides"]),
            branch_overrides=_overrides(document["branchOverrides"]),
            migration=MigrationSettings(**migration),
        ),
    )


def _fields(value: Thresholds | MigrationSettings) -> Document:
    return {name: getattr(value, name) for name in value.__slots__}


def _overrides(pairs: list[list[Any]]) -> MappingProxyType[Any, Role]:
    return MappingProxyType({key: Role(role) for key, role in pairs})
