"""The control log: an append-only collection. `after` of its last entry is the state in force.

Rules: the insert of `{_id: last + 1, ...}` is a compare-and-set, and a unique index on user and
commandId decides each command only once. Nothing is ever updated or removed. `version` rises only
if the state changes. `lineage` is a UUID in entry 1; only versions of one lineage can be compared.
An entry that this version cannot read is left out of histories. If it is the answer itself, it
raises `UnreadableDocument`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import structlog
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.last_known_good import LOOK_BACK, Version, stood_well
from worker.domain.migration.snapshot import AUTOMATIC
from worker.ports.store import UnreadableDocument, WriteConflict
from worker.store.errors import errors_as_unavailable
from worker.store.snapshots import of_snapshot, snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.clock import Clock

COLLECTION: Final = "control_log"
Document = dict[str, Any]
_BY_NUMBER: Final = (("_id", DESCENDING),)
_BY_TIME: Final = (("at", DESCENDING), ("_id", DESCENDING))
_MOVED: Final = [
    {"$ne": [f"$before.{field}", f"$after.{field}"]}
    for field in ("phase", "percentage", "flags.targetEnabled", "flags.legacyEnabled")
]
"""Conditions: the entry changed what goes to the target."""
_log = structlog.get_logger(__name__)


class ControlLogStore:
    """The `ControlLog` port on MongoDB."""

    def __init__(self, collection: Any, clock: Clock) -> None:
        self._collection = collection
        self._clock = clock

    async def last(self) -> tuple[int, Snapshot] | None:
        """See `ControlLog.last`."""
        entries = await self._read({}, limit=1)
        return (entries[0]["_id"], snapshot(entries[0]["after"])) if entries else None

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
        with errors_as_unavailable:
            try:
                await self._collection.insert_one(document)
            except DuplicateKeyError as error:
                raise WriteConflict("another entry was appended first") from error

    async def find(self, user: str, command_id: str) -> LogEntry | None:
        """See `ControlLog.find`."""
        entries = await self._read({"user": user, "commandId": command_id}, limit=1)
        return entry(entries[0]) if entries else None

    async def history(self, limit: int, before: int | None) -> list[LogEntry]:
        """See `ControlLog.history`."""
        query = {"_id": {"$lt": before}} if before is not None else {}
        entries = (_entry_or_none(document) for document in await self._read(query, limit))
        return [each for each in entries if each is not None]

    async def state_at(self, version: int) -> Snapshot | None:
        """See `ControlLog.state_at`."""
        entries = await self._read({"version": version, "changed": True}, limit=1)
        return snapshot(entries[0]["after"]) if entries else None

    async def state_on(self, at: datetime) -> Snapshot | None:
        """See `ControlLog.state_on`."""
        before = {"changed": True, "at": {"$lte": at}}
        entries = await self._read(before, limit=1, order=_BY_TIME)
        return snapshot(entries[0]["after"]) if entries else None

    async def moves(self, since: datetime, limit: int) -> list[LogEntry]:
        """See `ControlLog.moves`."""
        query = {"changed": True, "at": {"$gt": since}, "$expr": {"$or": _MOVED}}
        found = await self._read(query, limit, order=_BY_TIME)
        entries = (_entry_or_none(document) for document in found)
        return [each for each in entries if each is not None]

    async def known_good(self, for_s: float) -> Snapshot | None:
        """See `ControlLog.known_good`."""
        changes = await self._read({"changed": True}, limit=LOOK_BACK)
        for later, earlier in pairwise(changes):
            stood = stood_well(_version(earlier), _version(later), for_s)
            if stood and not await self._held(earlier, later):
                good = _entry_or_none(earlier)
                if good is not None:
                    return good.after
        return None

    async def _held(self, earlier: Document, later: Document) -> bool:
        """Whether automation held for a reason between the two versions."""
        between = {"$gt": earlier["_id"], "$lt": later["_id"]}
        hold = {"_id": between, "user": AUTOMATIC, "command.name": "hold"}
        return bool(await self._read(hold, limit=1))

    async def _read(
        self, query: Document, limit: int, order: Sequence[tuple[str, int]] = _BY_NUMBER
    ) -> list[Document]:
        with errors_as_unavailable:
            cursor = self._collection.find(query).sort(list(order)).limit(limit)
            documents: list[Document] = await cursor.to_list(None)
        return documents


def _version(document: Document) -> Version:
    downs = document["after"].get("automaticDowns", [])
    return Version(document["_id"], document["at"], downs)


def _entry_or_none(document: Document) -> LogEntry | None:
    """Read an entry; None: this version cannot read it."""
    try:
        return entry(document)
    except UnreadableDocument as error:
        _log.warning("entry of the control log left out", number=document["_id"], error=str(error))
        return None


def entry(document: Document) -> LogEntry:
    """Read a stored entry. Raises `UnreadableDocument`."""
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
