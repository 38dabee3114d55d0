"""What reports and the sweeper read and change in the records.

Rules: the same as in `store.messages`: one compare-and-set a transition, whose filter names all it
relies on. Queries are bounded and run over partial indexes, so their cost follows what is due, not
what is stored. Every failure of the store is `StoreAway`: these callers come again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from bson import Timestamp
from pymongo.errors import PyMongoError

from worker.domain.delivery import FINAL, RANK
from worker.domain.message import Lane, Record, State, StoredEvent
from worker.ports import StoreAway
from worker.store import documents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.domain.delivery import Report
    from worker.ports import Clock
    from worker.store.documents import Document

_BATCH: Final = 200
_CHANGED: Final = {"changedAt": True}
_IN_HAND: Final = {"state": str(State.SUBMITTING), "claimedAt": {"$gt": Timestamp(0, 1)}}
"""Records in `submitting`; the bound is there for the index, which is on `claimedAt`."""


class DueStore:
    """The `Reported` and `Due` ports on MongoDB.

    Args:
        collection: `messages`.
        clock: wall time.
        report_deadline_s: how long a report may take, seconds.
    """

    def __init__(self, collection: Any, clock: Clock, *, report_deadline_s: float) -> None:
        self._collection = collection
        self._clock = clock
        self._deadline = timedelta(seconds=report_deadline_s)

    async def by_reference(self, provider: str, provider_message_id: str) -> Record | None:
        """See `Reported.by_reference`."""
        reference = documents.reference(provider, provider_message_id)
        return _first(await self._read({"refs": reference}))

    async def find(self, message_id: str) -> Record | None:
        """See `Reported.find`."""
        return _first(await self._read({"_id": message_id}))

    async def unknown_of(self, recipient_hash: str) -> list[Record]:
        """See `Reported.unknown_of`."""
        since = self._clock.now() - self._deadline
        query = {
            "createdAt": {"$gte": since},
            "to.hash": recipient_hash,
            # One in hand may be the one meant: its response is not stored yet.
            "$or": [{"to.hash": recipient_hash, "state": str(State.UNKNOWN)}, dict(_IN_HAND)],
        }
        return [documents.record(found) for found in await self._read(query, limit=2)]

    async def report(
        self,
        record: Record,
        epoch: int,
        report: Report,
        events: tuple[StoredEvent, ...],
        *,
        proves: bool,
    ) -> bool:
        """See `Reported.report`."""
        if report.delivery is None:
            return True
        prefix = f"attempts.{epoch}"
        rank = RANK[report.delivery]
        delivery = {
            "state": str(report.delivery),
            "rank": rank,
            "status": report.status,
            "reason": report.reason,
            "networkCode": report.network_code,
            "at": self._clock.now(),
        }
        fields: Document = {f"{prefix}.delivery": delivery}
        unset = {"reportDue": ""} if report.delivery in FINAL else {}
        if proves:
            fields |= {"state": str(State.ACCEPTED), f"{prefix}.result": "accepted"}
            if report.provider_message_id:
                fields[f"{prefix}.pid"] = report.provider_message_id
        query = {
            "_id": record.id,
            "state": str(record.state),
            "epoch": record.epoch,
            f"{prefix}.delivery.rank": {"$not": {"$gte": rank}},
        }
        update: Document = {"$set": fields, "$currentDate": _CHANGED}
        if unset:
            update["$unset"] = unset
        if proves and report.provider_message_id:  # the next report names the same id
            reference = documents.reference(report.provider, report.provider_message_id)
            update["$addToSet"] = {"refs": reference}
        return await self._change(query, update, events)

    async def dead_leases(self, *, extra_s: float, lane: Lane) -> list[Record]:
        """See `Due.dead_leases`."""
        return [
            documents.record(found)
            for found in await self._read(
                {
                    **_IN_HAND,
                    "lane": str(lane),
                    "$expr": documents.lease_dead_for(int(extra_s * 1000)),
                }
            )
        ]

    async def unannounced(self, *, older_s: float) -> list[tuple[Record, tuple[StoredEvent, ...]]]:
        """See `Due.unannounced`."""
        before = self._clock.now() - timedelta(seconds=older_s)
        found = await self._read({"unconfirmed.0": {"$exists": True}, "changedAt": {"$lt": before}})
        return [(documents.record(each), documents.unconfirmed(each)) for each in found]

    async def take_judged(self) -> list[Record]:
        """See `Due.take_judged`. Two writes a batch: whoever marks a record first has it."""
        due = await self._read({"judgeAt": {"$lte": self._clock.now()}})
        ids, token = [found["_id"] for found in due], uuid4().hex
        if not ids:
            return []
        mark = {"$unset": {"judgeAt": ""}, "$set": {"judgedBy": token}}
        await self._write({"_id": {"$in": ids}, "judgeAt": {"$exists": True}}, mark)
        ours = await self._read({"_id": {"$in": ids}, "judgedBy": token})
        return [documents.record(found) for found in ours]

    async def _write(self, query: Document, update: Document) -> None:
        try:
            await self._collection.update_many(query, update)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error

    async def overdue(self) -> list[Record]:
        """See `Due.overdue`."""
        found = await self._read({"reportDue": {"$lte": self._clock.now()}})
        return [documents.record(each) for each in found]

    async def unreported(self, record: Record, events: tuple[StoredEvent, ...]) -> bool:
        """See `Due.unreported`."""
        query = {"_id": record.id, "epoch": record.epoch, "reportDue": {"$exists": True}}
        update = {"$unset": {"reportDue": ""}, "$currentDate": _CHANGED}
        return await self._change(query, update, events)

    async def _read(self, query: Mapping[str, Any], limit: int = _BATCH) -> list[Document]:
        try:
            cursor = self._collection.aggregate(
                [{"$match": query}, {"$limit": limit}, *documents.VIEW]
            )
            found: list[Document] = await cursor.to_list(None)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return found

    async def _change(
        self, query: Document, update: Document, events: tuple[StoredEvent, ...]
    ) -> bool:
        """One retryable write; an ambiguous failure is repeated by the caller's next look."""
        if events:
            update["$push"] = documents.pushed(events)
        try:
            done = await self._collection.update_one(query, update)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return bool(done.matched_count)


def _first(found: Sequence[Document]) -> Record | None:
    return documents.record(found[0]) if found else None
