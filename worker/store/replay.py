"""What `dead replay` reads and changes in the records.

Rules: the same as in `store.messages`: one compare-and-set a transition, whose filter names all it
relies on (state, epoch, round, generation). Issued by hand and rarely: no grouping, and a failure
of the store is `StoreAway`. A write that was applied and not answered shows as `waiting` at the
next look, which is what the next replay goes on from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError, PyMongoError

from worker.domain.message import Result, State
from worker.ports import StoreAway
from worker.store import documents

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.message import Message, Record
    from worker.ports import Clock
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
        try:
            cursor = self._collection.aggregate([{"$match": {"_id": message_id}}, *documents.VIEW])
            found = await cursor.to_list(1)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return documents.record(_with_late(found[0])) if found else None

    async def begin(self, message: Message) -> int | None:
        """See `Replays.begin`."""
        now = self._clock.now()
        document = {
            "_id": message.id,
            **documents.of_message(message),
            "state": str(State.WAITING),
            "token": "replay",
            "round": FIRST_ROUND,
            "failedRounds": 0,
            "epoch": 0,
            "resendUsed": False,
            "generation": 1,
            "attempts": {},
            "events": [],
            "unconfirmed": [],
            "createdAt": now,
            "changedAt": now,
        }
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            return None
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return FIRST_ROUND

    async def renew(
        self, record: Record, expires_at: datetime, message: Message | None
    ) -> int | None:
        """See `Replays.renew`."""
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
            "$unset": {"expireAt": "", "reportDue": "", "judgeAt": ""},
            "$currentDate": {"changedAt": True},
        }
        try:
            done = await self._collection.update_one(standing, update)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return round_ if done.matched_count else None


def _with_late(document: Document) -> Document:
    """An outcome that came too late is the truth about its attempt all the same."""
    for attempt in document.get("attempts", {}).values():
        late = attempt.get("late", {}).get("result")
        if late in _TAKEN:
            attempt["result"] = late
    return document
