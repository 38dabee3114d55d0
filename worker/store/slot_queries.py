"""Finds the slots of a period, and adds up those of all replicas."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from worker.domain.figures.periods import SlotSums, pieces
from worker.store.errors import errors_as_unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence


async def summed(
    collection: Any, match: dict[str, Any], names: Sequence[str], *, slot_s: int | None = None
) -> list[SlotSums]:
    """Documents of every replica, added up by provider and start.

    Args:
        collection: of slots.
        match: filter for the documents.
        names: counters.
        slot_s: length of the slots that are returned, seconds; None: as they are stored.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    sums = {name: {"$sum": f"$counts.{name}"} for name in names}
    group = {"_id": {"provider": "$provider", "at": _begin(slot_s)}, **sums}
    with errors_as_unavailable:
        rows = await collection.aggregate([{"$match": match}, {"$group": group}]).to_list(None)
    return [
        SlotSums(
            row["_id"]["provider"],
            int(row["_id"]["at"].timestamp()),
            {name: int(row[name]) for name in names},
        )
        for row in rows
    ]


def _begin(slot_s: int | None) -> Any:
    """The start of the slot of that length that a document belongs to."""
    if slot_s is None:
        return "$at"
    return {"$subtract": ["$at", {"$mod": [{"$toLong": "$at"}, slot_s * 1_000]}]}


def covering(since: datetime, until: datetime) -> dict[str, Any]:
    """Filter for the documents that cover a period: few long slots, and short ones at its ends."""
    parts = [
        within(piece.span, piece.start, piece.end)
        for piece in pieces(since.timestamp(), until.timestamp())
    ]
    return {"$or": parts} if parts else {"span": 0}


def within(span: int, start: int, end: int) -> dict[str, Any]:
    """Filter for the slots of a span that begin in [start, end), seconds since the epoch."""
    return {"span": span, "at": {"$gte": _moment(start), "$lt": _moment(end)}}


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
