"""Stores heartbeats: which replicas are alive, and which version each uses.

Rules: each process writes its own heartbeat every second. The server's clock decides its age. A
heartbeat is a fact about the last five seconds, never a lock. If it lies more than that in the
future, the server's clock was ahead when it was stamped, and the replica counts as dead.
"""

from __future__ import annotations

from typing import Any, Final

from worker.domain.migration.replicas import Heartbeat, LiveReplica, Process
from worker.store.errors import errors_as_unavailable

COLLECTION: Final = "replicas"
ALIVE_MS: Final = 5_000
_AGE_MS: Final = {"$abs": {"$subtract": ["$$NOW", "$at"]}}
_ALIVE: Final = {"$expr": {"$lt": [_AGE_MS, ALIVE_MS]}}


class ReplicaStore:
    """The `Replicas` port on MongoDB."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def write_heartbeat(self, heartbeat: Heartbeat) -> None:
        """See `Replicas.write_heartbeat`."""
        process = heartbeat.process
        fields = {
            "applied": heartbeat.applied,
            "oldestUnsent": heartbeat.oldest_unsent,
            "breakers": dict(heartbeat.breakers),
            "faults": dict(heartbeat.faults),
            "inHand": heartbeat.in_hand,
            "consuming": heartbeat.consuming,
            "software": process.software,
            "host": process.host,
            "startedAt": process.started_at,
        }
        with errors_as_unavailable:
            await self._collection.update_one(
                {"_id": heartbeat.replica},
                {"$set": fields, "$currentDate": {"at": True}},
                upsert=True,
            )

    async def live(self) -> int:
        """See `Replicas.live`."""
        with errors_as_unavailable:
            count: int = await self._collection.count_documents(_ALIVE)
        return max(count, 1)

    async def list(self) -> list[LiveReplica]:
        """See `Replicas.list`."""
        pipeline = [
            {"$match": _ALIVE},
            {"$addFields": {"age": {"$divide": [_AGE_MS, 1000]}}},
            {"$sort": {"_id": 1}},
        ]
        with errors_as_unavailable:
            documents = await self._collection.aggregate(pipeline).to_list(None)
        return [live_replica(document) for document in documents]

    async def leave(self, replica: str) -> None:
        """See `Replicas.leave`."""
        with errors_as_unavailable:
            await self._collection.delete_one({"_id": replica})


def live_replica(document: dict[str, Any]) -> LiveReplica:
    """Read a stored heartbeat with its `age` in seconds."""
    heartbeat = Heartbeat(
        replica=document["_id"],
        applied=document.get("applied"),
        oldest_unsent=document.get("oldestUnsent"),
        breakers=document.get("breakers", {}),
        faults=document.get("faults", {}),
        in_hand=document.get("inHand", 0),
        consuming=document.get("consuming", False),
        process=Process(document.get("software"), document.get("host"), document.get("startedAt")),
    )
    return LiveReplica(heartbeat, document["age"])
