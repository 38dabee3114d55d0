"""Who failed at whom on which day, once over all replicas and restarts, in MongoDB.

Rules: a mark is inserted, never changed; whoever inserts it was the first. Kept for two days, which
is longer than the day it is about. Written on failures alone.

    failed_recipients  {_id: "day:signal:provider:hash of the recipient", at}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from pymongo.errors import BulkWriteError, PyMongoError

from worker.store.committer import DUPLICATE_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.ports.clock import Clock

COLLECTION: Final = "failed_recipients"
KEPT_S: Final = 2 * 86_400
_log = structlog.get_logger(__name__)


class FailureStore:
    """Says which failures are the first of their day.

    Args:
        collection: where marks are kept.
        clock: stamps them.
    """

    def __init__(self, collection: Any, clock: Clock) -> None:
        self._collection = collection
        self._clock = clock

    async def first(self, idents: Sequence[str]) -> set[str] | None:
        """Those marks that were not there, and are now; None: the store did not answer."""
        at = self._clock.now()
        marks = [{"_id": ident, "at": at} for ident in idents]
        try:
            await self._collection.insert_many(marks, ordered=False)
        except BulkWriteError as error:  # its text echoes documents: codes are enough
            refused = {each["index"]: each["code"] for each in error.details["writeErrors"]}
            if others := {code for code in refused.values() if code != DUPLICATE_KEY}:
                _log.warning("failures.not_counted", codes=sorted(others))
            return {ident for index, ident in enumerate(idents) if index not in refused}
        except PyMongoError as error:
            _log.warning("failures.not_counted", error=type(error).__name__)
            return None
        return set(idents)
