"""Delivery reports, stored before anything is made of them.

Rules: the same report stored twice is one document (its id is derived from its content). A report
is matched once its fact stands in the record of its message; until then it is looked for again,
ever more rarely, until it expires.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError

from worker.domain.delivery import Report, StoredReport
from worker.domain.message import Delivery
from worker.ports import StoreAway
from worker.store.documents import reference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.ports import Clock

COLLECTION: Final = "reports"
_BATCH: Final = 200
_SOONEST: Final = timedelta(seconds=5)
_LATEST: Final = timedelta(hours=1)


class ReportStore:
    """Keeps reports and finds those without their message.

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
        self, report: Report, recipient_hash: str | None, received_at: datetime
    ) -> StoredReport:
        """Store a report; one that came before is found, not doubled. Raises `StoreAway`."""
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
            "receivedAt": received_at,
            "matched": False,
            "nextAt": self._clock.now() + _SOONEST,
            "expireAt": self._clock.now() + self._keep,
        }
        if report.provider_message_id is not None:
            document["ref"] = reference(report.provider, report.provider_message_id)
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            pass  # told before; whether it is matched is decided by the record
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return StoredReport(ident, report, recipient_hash, received_at)

    async def matched(self, ident: str) -> None:
        """The fact stands in its record. Raises `StoreAway`."""
        try:
            await self._collection.update_one({"_id": ident}, {"$set": {"matched": True}})
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error

    async def waiting_for(self, references: Sequence[str]) -> list[StoredReport]:
        """Unmatched reports that name any of these references. Raises `StoreAway`."""
        return await self._find({"matched": False, "ref": {"$in": list(references)}})

    async def orphans(self) -> list[StoredReport]:
        """Unmatched reports whose turn to be tried again has come. Raises `StoreAway`."""
        now = self._clock.now()
        found = await self._find({"matched": False, "nextAt": {"$lte": now}})
        later = [
            UpdateOne({"_id": each.id}, {"$set": {"nextAt": _next(each.received_at, now)}})
            for each in found
        ]
        try:
            if later:
                await self._collection.bulk_write(later, ordered=False)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return found

    async def _find(self, query: dict[str, Any]) -> list[StoredReport]:
        try:
            cursor = self._collection.find(query).sort("nextAt").limit(_BATCH)
            return [_stored(document) async for document in cursor]
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error


def _next(received_at: datetime, now: datetime) -> datetime:
    """The older a report, the rarer it is tried: an early one is matched within seconds."""
    return now + min(max(now - received_at, _SOONEST), _LATEST)


def _identity(report: Report, recipient_hash: str | None) -> str:
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


def _stored(document: dict[str, Any]) -> StoredReport:
    delivery = document["delivery"]
    report = Report(
        provider=document["provider"],
        delivery=Delivery(delivery) if delivery else None,
        status=document["status"],
        provider_message_id=document["pid"],
        message_id=document["messageId"],
        epoch=document["epoch"],
        reason=document["reason"],
        network_code=document["networkCode"],
    )
    return StoredReport(document["_id"], report, document["to"], document["receivedAt"])
