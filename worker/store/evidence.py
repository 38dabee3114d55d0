"""The evidence as the last tick left it: one document a lineage, written by compare-and-set.

Rules: whoever writes tick n + 1 over tick n owns it; everybody else reads it. No leader is needed
for there to be one sequence of ticks. How old a tick is, the server's clock says: a replica whose
own is wrong must not keep the others from looking. Evidence of another version of the method is
not read: it begins anew, what was counted stays counted.

    evidence  {_id: lineage, tick, at, method, evidence, counted, holding, topic, holds, stamped}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError, PyMongoError

from worker.domain.evidence import METHOD, Evidence
from worker.domain.judgement import Topic
from worker.domain.recorded import document, restored
from worker.ports import Checkpoint, StoreAway

if TYPE_CHECKING:
    from datetime import datetime

COLLECTION: Final = "evidence"


class EvidenceStore:
    """Checkpoints in MongoDB. Methods raise `StoreAway`."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def read(self, lineage: str) -> Checkpoint | None:
        """The last checkpoint; None: no tick was made."""
        age = {"$divide": [{"$subtract": ["$$NOW", "$stamped"]}, 1_000]}
        pipeline = [{"$match": {"_id": lineage}}, {"$addFields": {"age": age}}]
        try:
            found = await self._collection.aggregate(pipeline).to_list(None)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return _checkpoint(found[0]) if found else None

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
            "holding": made.holding,
            "topic": str(made.topic) if made.topic else None,
            "holds": {str(topic): at for topic, at in made.holds.items()},
        }
        stamped = {"$set": values, "$currentDate": {"stamped": True}}
        try:
            done = await self._collection.update_one(before, stamped, upsert=made.tick == 1)
        except DuplicateKeyError:
            return False
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return bool(done.matched_count or done.upserted_id)

    async def on_record(self, lineage: str, tick: int, topic: Topic, at: datetime) -> None:
        """Note that the hold of a tick stands in the control log."""
        try:
            await self._collection.update_one(
                {"_id": lineage, "tick": tick}, {"$set": {f"holds.{topic}": at}}
            )
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error


def _checkpoint(found: dict[str, Any]) -> Checkpoint:
    ours = found.get("method") == METHOD
    return Checkpoint(
        tick=found["tick"],
        at=found["at"],
        evidence=restored(found["evidence"]) if ours else Evidence(),
        counted=found["counted"],
        holding=found["holding"] if ours else None,
        topic=Topic(found["topic"]) if ours and found["topic"] else None,
        holds={Topic(name): at for name, at in found["holds"].items()} if ours else {},
        age_s=found["age"],
    )
