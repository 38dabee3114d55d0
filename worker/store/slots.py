"""Stores metrics in MongoDB: cumulative sums by slot and by day.

Rules: one document for each owner, provider and slot, always written as a whole. So a repeated
write counts nothing twice, and a write that may have failed is simply repeated. Every replica
writes its slots of every span itself. Nothing is rolled up later, so late writes are included at
once. Sums are read by aggregation over the fewest documents that cover a period. So the cost of a
health report depends on the ends of its period, little on its length, and never on its traffic.

    slots   {_id: "owner:provider:span:epoch", owner, provider, span, at, counts, expireAt}
    daily   {_id: "owner:provider:day:branch:type", owner, provider, day, branch, type, counts,
             expireAt}

`counts` maps names to numbers, absent = 0. The writer defines the names (`domain.figures.tally`).
`span` is the slot's length in seconds, one of `domain.figures.periods.SPANS`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from bson import Decimal128
from pymongo import ASCENDING, IndexModel, ReplaceOne
from pymongo.errors import PyMongoError

from worker.domain.figures.periods import SLOT_S
from worker.store.errors import errors_as_unavailable
from worker.store.slot_queries import covering, summed, within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.domain.figures.periods import SlotSums
    from worker.domain.figures.series import Period
    from worker.store.client import Database

Sums = dict[str, int | Decimal]

_log = structlog.get_logger(__name__)


class SlotRow(Protocol):
    """Cumulative sums of one provider in one slot."""

    @property
    def provider(self) -> str:
        """Id of the provider."""
        ...

    @property
    def span(self) -> int:
        """Length of the slot, seconds."""
        ...

    @property
    def at(self) -> datetime:
        """Start of the slot, UTC."""
        ...

    @property
    def counts(self) -> Mapping[str, int | Decimal]:
        """Sums by name; those of 0 may be absent."""
        ...


class DayRow(Protocol):
    """Cumulative sums of one day, provider, branch and message type."""

    @property
    def provider(self) -> str:
        """Id of the provider."""
        ...

    @property
    def day(self) -> date:
        """The day, UTC."""
        ...

    @property
    def branch_id(self) -> int | None:
        """The branch, if messages name one."""
        ...

    @property
    def message_type(self) -> str:
        """The message type."""
        ...

    @property
    def counts(self) -> Mapping[str, int | Decimal]:
        """Sums by name; those of 0 may be absent."""
        ...


class SlotStore:
    """Writes the slots of this process and sums those of all replicas.

    Args:
        database: the connection.
        owner: new id of this process start, so that a restart writes new documents.
        retention_days: days a document is kept after its slot or day; may change at any time.
    """

    def __init__(self, database: Database, owner: str, *, retention_days: int) -> None:
        self.retention_days = retention_days
        self._owner = owner
        self._slots: Any = database["slots"]
        self._daily: Any = database["daily"]

    async def create_indexes(self) -> None:
        """Create missing indexes. Idempotent."""
        expiry = IndexModel([("expireAt", ASCENDING)], expireAfterSeconds=0)
        by_time = IndexModel([("span", ASCENDING), ("at", ASCENDING)])
        await self._slots.create_indexes([by_time, expiry])
        by_day = [("day", ASCENDING), ("provider", ASCENDING)]
        await self._daily.create_indexes([IndexModel(by_day), expiry])

    async def write(self, slots: Sequence[SlotRow], days: Sequence[DayRow]) -> bool:
        """Write the present rows.

        Returns:
            False if the store did not take all of them; write them again later.
        """
        try:
            if slots:
                await self._slots.bulk_write([self._slot(row) for row in slots], ordered=False)
            if days:
                await self._daily.bulk_write([self._day(row) for row in days], ordered=False)
        except PyMongoError as error:  # its text may quote documents
            _log.warning("metrics.not_stored", error=type(error).__name__)
            return False
        return True

    async def sum(self, since: datetime, until: datetime) -> dict[str, Sums]:
        """Sum the counts of all replicas in slots of 10 s that begin in [since, until).

        Returns:
            Sums by name, by provider; zeros are absent.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        # Names come from the documents, because the currencies are not known before. Summing known
        # names one by one would save a fifth of the time. Adding up here would save CPU of the
        # server and cost our own (tests/bench/test_health_report.py).
        pipeline = [
            {"$match": covering(since, until)},
            {"$project": {"provider": 1, "counts": {"$objectToArray": "$counts"}}},
            {"$unwind": "$counts"},
            {
                "$group": {
                    "_id": {"provider": "$provider", "name": "$counts.k"},
                    "sum": {"$sum": "$counts.v"},
                }
            },
        ]
        with errors_as_unavailable:
            rows = await self._slots.aggregate(pipeline).to_list(None)
        by_provider: dict[str, Sums] = {}
        for row in rows:
            sums = by_provider.setdefault(row["_id"]["provider"], {})
            sums[row["_id"]["name"]] = _from_bson(row["sum"])
        return by_provider

    async def recent(self, since: datetime, names: Sequence[str]) -> list[SlotSums]:
        """Slots of 10 s that begin at or after `since`, with the sums of the counters named.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        return await summed(self._slots, {"span": SLOT_S, "at": {"$gte": since}}, names)

    async def series(self, shown: Period, names: Sequence[str]) -> list[SlotSums]:
        """The slots of a chart, with the sums of the counters named; those of nothing are absent.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        scale = shown.scale
        match = within(scale.span, shown.since, shown.until)
        return await summed(self._slots, match, names, slot_s=scale.slot_s)

    async def retain(self, days: int) -> None:
        """Keep every document, old ones too, for this number of days after its slot or day.

        Raises:
            StoreUnavailable: not all documents were changed in time. Changed ones stay changed.
        """
        self.retention_days = days
        for collection, field in ((self._slots, "$at"), (self._daily, "$day")):
            expire_at = {"$add": [field, days * 86_400_000]}
            others = {"$expr": {"$ne": ["$expireAt", expire_at]}}  # so that a repeat continues here
            with errors_as_unavailable:
                await collection.update_many(others, [{"$set": {"expireAt": expire_at}}])

    def _slot(self, row: SlotRow) -> ReplaceOne[Any]:
        ident = f"{self._owner}:{row.provider}:{row.span}:{int(row.at.timestamp())}"
        return self._replace(
            {"_id": ident, "provider": row.provider, "span": row.span, "at": row.at},
            row.at,
            row.counts,
        )

    def _day(self, row: DayRow) -> ReplaceOne[Any]:
        named = f"{row.provider}:{row.day.isoformat()}:{row.branch_id}:{row.message_type}"
        day = datetime.combine(row.day, time.min, UTC)
        return self._replace(
            {
                "_id": f"{self._owner}:{named}",
                "provider": row.provider,
                "day": day,
                "branch": row.branch_id,
                "type": row.message_type,
            },
            day,
            row.counts,
        )

    def _replace(
        self, key: dict[str, Any], at: datetime, counts: Mapping[str, int | Decimal]
    ) -> ReplaceOne[Any]:
        document = {
            **key,
            "owner": self._owner,
            "counts": {name: _to_bson(count) for name, count in counts.items()},
            "expireAt": at + timedelta(days=self.retention_days),
        }
        return ReplaceOne({"_id": key["_id"]}, document, upsert=True)


def _to_bson(count: int | Decimal) -> int | Decimal128:
    return Decimal128(count) if isinstance(count, Decimal) else count


def _from_bson(count: int | Decimal128) -> int | Decimal:
    return count.to_decimal() if isinstance(count, Decimal128) else int(count)
