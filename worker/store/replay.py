"""Reads and changes records for `dead replay`.

Rules: as in `store.messages`, each transition is one compare-and-set, and its filter names all it
relies on (state, epoch, round, generation). Replays are rare and started by hand, so writes are not
grouped, and a failure of the store raises `StoreUnavailable`. If a write was applied but its answer
was lost, the next replay finds `waiting` and continues from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError

from worker.domain.messages.message import Result, State
from worker.domain.messages.transitions import Write, require
from worker.store import documents
from worker.store.errors import errors_as_unavailable
from worker.store.states import CHANGED, NO_DEADLINES

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.messages.message import Message, Record
    from worker.ports.clock import Clock
    from worker.store.documents import Document

FIRST_ROUND: Final = 1
_TAKEN: Final = frozenset({Result.ACCEPTED, Result.UNKNOWN})


class ReplayStore:
    """The `Replays` port on MongoDB."""

    def __init__(self, collection: Any, clock: Clock) -> None:
        self._collection = collection
        self._clock = clock

    async def look(self, message_id: str) -> Record | None:
        """See `Replays.look`."""
        with errors_as_unavailable:
            cursor = self._collection.aggregate([{"$match": {"_id": message_id}}, *documents.VIEW])
            stored = await cursor.to_list(1)
        return documents.record(_with_late(stored[0])) if stored else None

    async def begin(self, message: Message) -> int | None:
        """See `Replays.begin`."""
        document = {
            **documents.of_new(message.id, State.WAITING, "replay", self._clock.now()),
            **documents.of_message(message),
            "round": FIRST_ROUND,
        }
        with errors_as_unavailable:
            try:
                await self._collection.insert_one(document)
            except DuplicateKeyError:
                return None
        return FIRST_ROUND

    async def renew(
        self, record: Record, expires_at: datetime, message: Message | None
    ) -> int | None:
        """See `Replays.renew`."""
        require(record.state, Write.REPLAY, State.WAITING)
        round_ = record.round + 1
        standing = {
            "_id": record.id,
            "state": str(record.state),
            "epoch": record.epoch,
            "round": record.round,
            "generation": record.generation,
        }
        fields: Document = {
            **(documents.of_message(message) if message else {}),
            "state": str(State.WAITING),
            "round": round_,
            "failedRounds": 0,
            "generation": record.generation + 1,
            "expiresAt": expires_at,
        }
        update = {
            "$set": fields,
            "$unset": NO_DEADLINES,
            "$currentDate": CHANGED,
        }
        with errors_as_unavailable:
            done = await self._collection.update_one(standing, update)
        return round_ if done.matched_count else None


def _with_late(document: Document) -> Document:
    """The record with its late outcomes, which still are the results of their attempts."""
    for attempt in document.get("attempts", {}).values():
        late = attempt.get("late", {}).get("result")
        if late in _TAKEN:
            attempt["result"] = late
    return document
