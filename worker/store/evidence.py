"""The evidence as the last tick left it: one document a lineage, written by compare-and-set.

Rules: whoever writes tick n + 1 over tick n owns it; everybody else reads it. No leader is needed
for there to be one sequence of ticks.

    evidence  {_id: lineage, tick, at, evidence, counted, holding, topic}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError, PyMongoError

from worker.domain.judgement import Topic
from worker.domain.recorded import document, restored
from worker.ports import Checkpoint, StoreAway

if TYPE_CHECKING:
    from worker.domain.evidence import Evidence

COLLECTION: Final = "evidence"


class EvidenceStore:
    """Checkpoints in MongoDB. Methods raise `StoreAway`."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    async def read(self, lineage: str) -> Checkpoint | None:
        """The last checkpoint; None: no tick was made."""
        try:
            found = await self._collection.find_one({"_id": lineage})
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        if found is None:
            return None
        return Checkpoint(
            tick=found["tick"],
            at=found["at"],
            evidence=restored(found["evidence"]),
            counted=found["counted"],
            holding=found["holding"],
            topic=Topic(found["topic"]) if found.get("topic") else None,
        )

    async def known(self, lineage: str) -> Evidence | None:
        """The evidence alone."""
        found = await self.read(lineage)
        return found.evidence if found else None

    async def write(self, lineage: str, made: Checkpoint) -> bool:
        """Write tick `made.tick` over the one before it; False: another monitor did."""
        values = {
            "tick": made.tick,
            "at": made.at,
            "evidence": document(made.evidence),
            "counted": made.counted,
            "holding": made.holding,
            "topic": str(made.topic) if made.topic else None,
        }
        try:
            if made.tick == 1:
                await self._collection.insert_one({"_id": lineage, **values})
                return True
            before = {"_id": lineage, "tick": made.tick - 1}
            done = await self._collection.replace_one(before, values)
        except DuplicateKeyError:
            return False
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        return bool(done.matched_count)
