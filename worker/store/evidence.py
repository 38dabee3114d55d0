"""The evidence as the last tick left it: one document a lineage, written by compare-and-set.

Rules: whoever writes tick n + 1 over tick n owns it; everybody else reads it. No leader is needed
for there to be one sequence of ticks. How old a tick is, the server's clock says: a replica whose
own is wrong must not keep the others from looking. Nor must a server's clock that was ahead for a
while: a tick that lies in the future is as old as it is far away. Evidence of another version of
the method is not read: it begins anew, what was counted stays counted.

    evidence  {_id: lineage, tick, at, method, evidence, counted, since, holding, topic, holds,
               stamped}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError

from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.detection.evidence import METHOD, Evidence
from worker.domain.detection.judgement import HoldReason
from worker.domain.detection.rerun import document, restored
from worker.domain.stored import by_word, word
from worker.store.errors import errors_as_unavailable

if TYPE_CHECKING:
    from datetime import datetime

COLLECTION: Final = "evidence"


class EvidenceStore:
    """Checkpoints in MongoDB. Methods raise `StoreUnavailable`."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def read(self, lineage: str) -> Checkpoint | None:
        """The last checkpoint; None: no tick was made."""
        age = {"$divide": [{"$subtract": ["$$NOW", "$stamped"]}, 1_000]}
        pipeline = [{"$match": {"_id": lineage}}, {"$addFields": {"age": age, "now": "$$NOW"}}]
        with errors_as_unavailable:
            found = await self._collection.aggregate(pipeline).to_list(None)
        return checkpoint(found[0]) if found else None

    async def known(self, lineage: str) -> Evidence | None:
        """The evidence alone."""
        found = await self.read(lineage)
        return found.evidence if found else None

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
        """Note that the hold of a tick stands in the control log."""
        with errors_as_unavailable:
            await self._collection.update_one(
                {"_id": lineage, "tick": tick}, {"$set": {f"holds.{hold_reason}": at}}
            )


def checkpoint(found: dict[str, Any]) -> Checkpoint:
    """A stored checkpoint as a value, with its `age` in seconds and the server's `now`."""
    ours = found.get("method") == METHOD
    return Checkpoint(
        tick=found["tick"],
        at=found["at"],
        evidence=restored(found["evidence"]) if ours else Evidence(),
        counted=found["counted"],
        holding=found.get("holding") if ours else None,
        hold_reason=word(HoldReason, found.get("topic"), None) if ours else None,
        holds=by_word(HoldReason, found.get("holds", {})) if ours else {},
        age_s=abs(found["age"]),
        since=found.get("since"),
        older_method=None if ours else found.get("method", 0),
        read_at=found.get("now"),
    )
