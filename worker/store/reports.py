"""Delivery reports, stored before anything else is done with them.

Rules:
- The id of a report is derived from its content, so a report stored twice is one document. Its time
  is that of its first arrival, and never later than now.
- A report is matched once it is applied to the record of its message. Until then its message is
  searched again, less and less often, until the report expires.
- A report with a delivery state that only a newer version knows is left to that version.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from worker.domain.messages.message import Delivery
from worker.domain.messages.receipts import DeliveryReport, StoredReport
from worker.store.documents import recorded_trace, reference
from worker.store.errors import errors_as_unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.ports.clock import Clock

COLLECTION: Final = "reports"
_BATCH: Final = 200
_SOONEST: Final = timedelta(seconds=5)
_LATEST: Final = timedelta(hours=1)
_UNDERSTOOD: Final = {"delivery": {"$in": [None, *map(str, Delivery)]}}


class ReportStore:
    """Stores reports and finds unmatched ones.

    Args:
        collection: `reports`.
        clock: wall time.
        keep_s: how long an unmatched report is kept, seconds.
    """

    def __init__(self, collection: Any, clock: Clock, *, keep_s: float) -> None:
        self._collection = collection
        self._clock = clock
        self._keep = timedelta(seconds=keep_s)

    async def keep(
        self,
        report: DeliveryReport,
        recipient_hash: str | None,
        received_at: datetime,
        traceparent: str | None = None,
    ) -> StoredReport:
        """Store a report. A repeated one returns the stored one. Raises `StoreUnavailable`."""
        ident = _identity(report, recipient_hash)
        document = {
            "_id": ident,
            "provider": report.provider,
            "pid": report.provider_message_id,
            "messageId": report.message_id,
            "epoch": report.epoch,
            "to": recipient_hash,
            "delivery": str(report.delivery) if report.delivery else None,
            "status": report.status,
            "reason": report.reason,
            "networkCode": report.network_code,
            "optedOut": report.opted_out,
            "receivedAt": received_at,
            "matched": False,
            "nextAt": self._clock.now() + _SOONEST,
            "expireAt": self._clock.now() + self._keep,
        }
        if report.provider_message_id is not None:
            document["ref"] = reference(report.provider, report.provider_message_id)
        trace = recorded_trace(traceparent)
        if trace is not None:
            document["trace"] = trace
        with errors_as_unavailable:
            first = await self._first_received(document)
        return StoredReport(ident, report, recipient_hash, first, trace)

    async def _first_received(self, document: dict[str, Any]) -> datetime:
        """Insert the report; returns the time of its first arrival."""
        received_at: datetime = document["receivedAt"]
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:  # the record decides whether it is matched
            before = await self._collection.find_one({"_id": document["_id"]}, {"receivedAt": 1})
            return min(before["receivedAt"], received_at) if before else received_at
        return received_at

    async def matched(self, ident: str) -> None:
        """Note that it was applied to the record of its message. Raises `StoreUnavailable`."""
        with errors_as_unavailable:
            await self._collection.update_one({"_id": ident}, {"$set": {"matched": True}})

    async def waiting_for(self, references: Sequence[str]) -> list[StoredReport]:
        """Unmatched reports that name one of these references. Raises `StoreUnavailable`."""
        return await self._find({"matched": False, "ref": {"$in": list(references)}})

    async def orphans(self) -> list[StoredReport]:
        """Unmatched reports that are due for another try. Raises `StoreUnavailable`."""
        now = self._clock.now()
        due = await self._find({"matched": False, "nextAt": {"$lte": now}})
        later = [
            UpdateOne(
                {"_id": each.id},
                {
                    "$set": {"nextAt": _next(each.received_at, now)},
                    "$min": {"receivedAt": now},  # some publishers' clocks were ahead
                },
            )
            for each in due
        ]
        with errors_as_unavailable:
            if later:
                await self._collection.bulk_write(later, ordered=False)
        return due

    async def _find(self, query: dict[str, Any]) -> list[StoredReport]:
        with errors_as_unavailable:
            cursor = self._collection.find({**query, **_UNDERSTOOD}).sort("nextAt").limit(_BATCH)
            stored = [stored_report(document) async for document in cursor]
        now = self._clock.now()
        return [replace(each, received_at=min(each.received_at, now)) for each in stored]


def _next(received_at: datetime, now: datetime) -> datetime:
    """The time of the next try. Older reports are tried less often; a new one within seconds."""
    return now + min(max(now - received_at, _SOONEST), _LATEST)


def _identity(report: DeliveryReport, recipient_hash: str | None) -> str:
    parts = (
        report.provider,
        report.provider_message_id,
        report.message_id,
        report.epoch,
        recipient_hash,
        report.status,
        report.reason,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def stored_report(document: dict[str, Any]) -> StoredReport:
    """Read a stored report."""
    delivery = document.get("delivery")
    report = DeliveryReport(
        provider=document["provider"],
        delivery=Delivery(delivery) if delivery else None,
        status=document["status"],
        provider_message_id=document.get("pid"),
        message_id=document.get("messageId"),
        epoch=document.get("epoch"),
        reason=document.get("reason"),
        network_code=document.get("networkCode"),
        opted_out=document.get("optedOut", False),
    )
    to, received_at, trace = document.get("to"), document["receivedAt"], document.get("trace")
    return StoredReport(document["_id"], report, to, received_at, trace)
