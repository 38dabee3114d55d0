"""Reads and changes records for delivery reports and the sweeper.

Rules: as in `store.messages`, each transition is one compare-and-set, and its filter names all it
relies on. Queries are bounded and use partial indexes, so their cost depends on what is due and not
on what is stored. Every failure of the store raises `StoreUnavailable`; the callers try again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from bson import Timestamp

from worker.domain.messages.message import Lane, Record, State, StoredEvent
from worker.domain.messages.receipts import FINAL, RANK
from worker.domain.messages.transitions import Write, require
from worker.ports.messages import MOST_IN_DOUBT, OpenRecords
from worker.store import documents
from worker.store.errors import errors_as_unavailable
from worker.store.states import CHANGED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.domain.messages.message import Delivery
    from worker.domain.messages.receipts import DeliveryReport
    from worker.ports.clock import Clock
    from worker.store.documents import Document

_BATCH: Final = 200
_COUNTED: Final = 10_000
"""The most open records of one state that are counted."""
_COUNT_WITHIN_MS: Final = 2_000
_IN_HAND: Final = {"state": str(State.SUBMITTING), "claimedAt": {"$gt": Timestamp(0, 1)}}
"""Records in `submitting`. The bound is needed for the index on `claimedAt`."""

_EVER: Final = {"$gt": datetime.fromtimestamp(0, UTC)}
OPEN: Final[Mapping[State, Mapping[str, Any]]] = {
    State.SUBMITTING: _IN_HAND,
    State.WAITING: {"state": str(State.WAITING), "expiresAt": _EVER},
    State.UNKNOWN: {"state": str(State.UNKNOWN), "reportDue": _EVER},
}
"""Records that are not settled. Each bound on a time is needed for the index on it."""


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

    async def in_doubt_of(self, recipient_hash: str) -> list[Record]:
        """See `Reported.in_doubt_of`."""
        since = self._clock.now() - self._deadline
        query = {
            "createdAt": {"$gte": since},
            "to.hash": recipient_hash,
            # A record in `submitting` may be the right one: its response is not stored yet.
            "$or": [
                {"to.hash": recipient_hash, "state": str(State.UNKNOWN)},
                # Whatever became of the resend, the report may be about the attempt before it.
                {"to.hash": recipient_hash, "resendUsed": True},
                dict(_IN_HAND),
            ],
        }
        return await self._records(query, limit=MOST_IN_DOUBT)

    async def report(
        self,
        record: Record,
        epoch: int,
        report: DeliveryReport,
        events: tuple[StoredEvent, ...],
        *,
        proves: bool,
    ) -> bool:
        """See `Reported.report`."""
        if report.delivery is None:
            return True
        rank = f"attempts.{epoch}.delivery.rank"
        query = {
            "_id": record.id,
            "state": str(record.state),
            "epoch": record.epoch,
            rank: {"$not": {"$gte": RANK[report.delivery]}},
        }
        delivery = {f"attempts.{epoch}.delivery": self._delivery(report, report.delivery)}
        update: Document = {"$set": delivery, "$currentDate": CHANGED}
        if report.delivery in FINAL:
            update["$unset"] = {"reportDue": ""}
        if proves:
            require(record.state, Write.PROVE, State.ACCEPTED)
            _prove(update, epoch, report)
        return await self._change(query, update, events)

    def _delivery(self, report: DeliveryReport, delivery: Delivery) -> Document:
        return {
            "state": str(delivery),
            "rank": RANK[delivery],
            "status": report.status,
            "reason": report.reason,
            "networkCode": report.network_code,
            "at": self._clock.now(),
        }

    async def dead_leases(self, *, extra_s: float, lane: Lane) -> list[Record]:
        """See `Due.dead_leases`."""
        dead = documents.lease_dead_for(int(extra_s * 1000))
        return await self._records({**_IN_HAND, "lane": str(lane), "$expr": dead})

    async def outlived(self, *, older_s: float) -> list[Record]:
        """See `Due.outlived`."""
        before = self._clock.now() - timedelta(seconds=older_s)
        return await self._records({"state": str(State.WAITING), "expiresAt": {"$lt": before}})

    async def unannounced(self, *, older_s: float) -> list[tuple[Record, tuple[StoredEvent, ...]]]:
        """See `Due.unannounced`."""
        before = self._clock.now() - timedelta(seconds=older_s)
        query = {"unconfirmed.0": {"$exists": True}, "changedAt": {"$lt": before}}
        stored = await self._read(query)
        return [(documents.record(each), documents.unconfirmed(each)) for each in stored]

    async def take_judged(self) -> list[Record]:
        """See `Due.take_judged`. A record belongs to the replica that marks it first."""
        due = await self._read({"judgeAt": {"$lte": self._clock.now()}})
        ids, token = [each["_id"] for each in due], uuid4().hex
        if not ids:
            return []
        mark = {"$unset": {"judgeAt": ""}, "$set": {"judgedBy": token}}
        with errors_as_unavailable:
            unjudged = {"_id": {"$in": ids}, "judgeAt": {"$exists": True}}
            await self._collection.update_many(unjudged, mark)
        return await self._records({"_id": {"$in": ids}, "judgedBy": token})

    async def overdue(self) -> list[Record]:
        """See `Due.overdue`."""
        return await self._records({"reportDue": {"$lte": self._clock.now()}})

    async def unreported(self, record: Record, events: tuple[StoredEvent, ...]) -> bool:
        """See `Due.unreported`."""
        query = {"_id": record.id, "epoch": record.epoch, "reportDue": {"$exists": True}}
        update = {"$unset": {"reportDue": ""}, "$currentDate": CHANGED}
        return await self._change(query, update, events)

    async def open_records(self) -> Mapping[State, OpenRecords]:
        """See `OpenRecordCounts.open_records`."""
        return {state: await self._count(query) for state, query in OPEN.items()}

    async def _count(self, query: Mapping[str, Any]) -> OpenRecords:
        counts = {"_id": None, "count": {"$sum": 1}, "oldest": {"$min": "$createdAt"}}
        with errors_as_unavailable:
            cursor = self._collection.aggregate(
                [{"$match": query}, {"$limit": _COUNTED}, {"$group": counts}],
                maxTimeMS=_COUNT_WITHIN_MS,
            )
            found = await cursor.to_list(1)
        return OpenRecords(found[0]["count"], found[0]["oldest"]) if found else OpenRecords(0, None)

    async def _records(self, query: Mapping[str, Any], limit: int = _BATCH) -> list[Record]:
        return [documents.record(each) for each in await self._read(query, limit)]

    async def _read(self, query: Mapping[str, Any], limit: int = _BATCH) -> list[Document]:
        with errors_as_unavailable:
            cursor = self._collection.aggregate(
                [{"$match": query}, {"$limit": limit}, *documents.VIEW]
            )
            stored: list[Document] = await cursor.to_list(None)
        return stored

    async def _change(
        self, query: Document, update: Document, events: tuple[StoredEvent, ...]
    ) -> bool:
        """Make one retryable write. After a failure the caller looks and writes again."""
        if events:
            update["$push"] = documents.pushed(events)
        with errors_as_unavailable:
            done = await self._collection.update_one(query, update)
        return bool(done.matched_count)


def _prove(update: Document, epoch: int, report: DeliveryReport) -> None:
    """Add to an update that a provider took the attempt."""
    update["$set"] |= {"state": str(State.ACCEPTED), f"attempts.{epoch}.result": "accepted"}
    if report.provider_message_id:  # so that the next report is found by the same id
        update["$set"][f"attempts.{epoch}.pid"] = report.provider_message_id
        reference = documents.reference(report.provider, report.provider_message_id)
        update["$addToSet"] = {"refs": reference}


def _first(stored: Sequence[Document]) -> Record | None:
    return documents.record(stored[0]) if stored else None
