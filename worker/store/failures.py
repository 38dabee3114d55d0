"""Stores which recipient failed at which provider on which day, for all replicas, in MongoDB.

Rules: a mark is inserted and never changed. The replica that inserts it saw the first failure. A
mark is kept for two days, which is longer than its day. Marks are only written for failures.

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
    """Decides which failures are the first of their day.

    Args:
        collection: stores the marks.
        clock: stamps the marks.
    """

    def __init__(self, collection: Any, clock: Clock) -> None:
        self._collection = collection
        self._clock = clock

    async def first(self, idents: Sequence[str]) -> set[str] | None:
        """Insert marks and return the new ones; None: the store did not answer."""
        now = self._clock.now()
        marks = [{"_id": ident, "at": now} for ident in idents]
        try:
            await self._collection.insert_many(marks, ordered=False)
        except BulkWriteError as error:  # its text quotes documents, so only the codes are logged
            refused = {each["index"]: each["code"] for each in error.details["writeErrors"]}
            if others := {code for code in refused.values() if code != DUPLICATE_KEY}:
                _log.warning("failures.not_counted", codes=sorted(others))
            return {ident for index, ident in enumerate(idents) if index not in refused}
        except PyMongoError as error:
            _log.warning("failures.not_counted", error=type(error).__name__)
            return None
        return set(idents)
