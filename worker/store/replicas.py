"""Heartbeats: who is alive, and which version each replica goes by.

Rules: written every second by each process about itself alone, judged by the server's clock. A
heartbeat is a fact about the last five seconds, never a lock.
"""

from __future__ import annotations

from typing import Any, Final

from pymongo.errors import PyMongoError

from worker.ports import Beat, Heartbeat, StoreAway

COLLECTION: Final = "replicas"
ALIVE_MS: Final = 5_000


class ReplicaStore:
    """The `Replicas` port on MongoDB."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def beat(self, heartbeat: Heartbeat) -> None:
        """See `Replicas.beat`."""
        fields = {
            "applied": heartbeat.applied,
            "oldestUnsent": heartbeat.oldest_unsent,
            "breakers": dict(heartbeat.breakers),
            "faults": dict(heartbeat.faults),
            "inHand": heartbeat.in_hand,
            "consuming": heartbeat.consuming,
        }
        try:
            await self._collection.update_one(
                {"_id": heartbeat.replica},
                {"$set": fields, "$currentDate": {"at": True}},
                upsert=True,
            )
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error

    async def live(self) -> int:
        """See `Replicas.live`."""
        fresh = {"$gt": [{"$add": ["$at", ALIVE_MS]}, "$$NOW"]}
        try:
            count: int = await self._collection.count_documents({"$expr": fresh})
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return max(count, 1)

    async def list(self) -> list[Beat]:
        """See `Replicas.list`."""
        age = {"$divide": [{"$subtract": ["$$NOW", "$at"]}, 1000]}
        pipeline = [
            {"$match": {"$expr": {"$gt": [{"$add": ["$at", ALIVE_MS]}, "$$NOW"]}}},
            {"$addFields": {"age": age}},
            {"$sort": {"_id": 1}},
        ]
        try:
            found = await self._collection.aggregate(pipeline).to_list(None)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return [_beat(document) for document in found]

    async def leave(self, replica: str) -> None:
        """See `Replicas.leave`."""
        try:
            await self._collection.delete_one({"_id": replica})
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error


def _beat(document: dict[str, Any]) -> Beat:
    heartbeat = Heartbeat(
        replica=document["_id"],
        applied=document["applied"],
        oldest_unsent=document["oldestUnsent"],
        breakers=document["breakers"],
        faults=document.get("faults", {}),  # a replica of an earlier version has none
        in_hand=document["inHand"],
        consuming=document["consuming"],
    )
    return Beat(heartbeat, document["age"])
