"""Stores the evidence after the last tick: one document per lineage, written by compare-and-set.

Rules:
- The replica that writes tick n + 1 over tick n owns it, and all others read it. So there is one
  sequence of ticks without a leader.
- The server's clock decides how old a tick is, so that a replica with a wrong clock cannot block
  the others. A tick in the future counts as being as old as it is far away, because the server's
  clock may have been ahead.
- Evidence of another version of the method is not read. It begins again, but what was counted is
  not counted again.

    evidence  {_id: lineage, tick, at, method, evidence, counted, since, holding, topic, holds,
               stamped}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError

from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.detection.evidence import METHOD, Evidence
from worker.domain.detection.rerun import document, restored
from worker.domain.stored import by_word, word
from worker.store.errors import errors_as_unavailable

if TYPE_CHECKING:
    from datetime import datetime

COLLECTION: Final = "evidence"


class EvidenceStore:
    """Stores checkpoints in MongoDB. Methods raise `StoreUnavailable`."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def read(self, lineage: str) -> Checkpoint | None:
        """The last checkpoint; None: there was no tick."""
        age = {"$divide": [{"$subtract": ["$$NOW", "$stamped"]}, 1_000]}
        pipeline = [{"$match": {"_id": lineage}}, {"$addFields": {"age": age, "now": "$$NOW"}}]
        with errors_as_unavailable:
            documents = await self._collection.aggregate(pipeline).to_list(None)
        return checkpoint(documents[0]) if documents else None

    async def known(self, lineage: str) -> Evidence | None:
        """The evidence of the last checkpoint."""
        last = await self.read(lineage)
        return last.evidence if last else None

    async def write(self, lineage: str, made: Checkpoint) -> bool:
        """Write tick `made.tick` over the one before it; False: another monitor did."""
        before = {"_id": lineage, "tick": made.tick - 1 if made.tick > 1 else None}
        values = {
            "tick": made.tick,
            "at": made.at,
            "method": METHOD,
            "evidence": document(made.evidence),
            "counted": made.counted,
            "since": made.since,
            "holding": made.holding,
            "topic": str(made.hold_reason) if made.hold_reason else None,
            "holds": {str(hold_reason): at for hold_reason, at in made.holds.items()},
        }
        stamped = {"$set": values, "$currentDate": {"stamped": True}}
        with errors_as_unavailable:
            try:
                done = await self._collection.update_one(before, stamped, upsert=made.tick == 1)
            except DuplicateKeyError:
                return False
        return bool(done.matched_count or done.upserted_id)

    async def on_record(
        self, lineage: str, tick: int, hold_reason: HoldReason, at: datetime
    ) -> None:
        """Note that the hold of a tick is in the control log."""
        with errors_as_unavailable:
            await self._collection.update_one(
                {"_id": lineage, "tick": tick}, {"$set": {f"holds.{hold_reason}": at}}
            )


def checkpoint(document: dict[str, Any]) -> Checkpoint:
    """Read a stored checkpoint, with its `age` in seconds and the server's `now`."""
    ours = document.get("method") == METHOD
    return Checkpoint(
        tick=document["tick"],
        at=document["at"],
        evidence=restored(document["evidence"]) if ours else Evidence(),
        counted=document["counted"],
        holding=document.get("holding") if ours else None,
        hold_reason=word(HoldReason, document.get("topic"), None) if ours else None,
        holds=by_word(HoldReason, document.get("holds", {})) if ours else {},
        age_s=abs(document["age"]),
        since=document.get("since"),
        older_method=None if ours else document.get("method", 0),
        read_at=document.get("now"),
    )
