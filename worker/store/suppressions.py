"""Recipients who opted out: durable, and a local set that follows it.

Rules: keyed hashes only. The set is loaded whole before anything is sent and followed every second
by the server's time of entry, re-reading an overlap, so that a late commit is not missed.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import DuplicateKeyError, PyMongoError

from worker.ports import StoreAway

if TYPE_CHECKING:
    from collections.abc import Callable

COLLECTION: Final = "suppressions"
_OVERLAP: Final = timedelta(seconds=10)
_RETRY_S: Final = 0.5


class SuppressionStore:
    """The `Suppressions` port on MongoDB."""

    def __init__(self, collection: Any, trouble: Callable[[str | None], None]) -> None:
        self._collection = collection
        self._trouble = trouble
        self._known: set[str] = set()
        self._since = datetime(1970, 1, 1, tzinfo=UTC)
        self.loaded = False

    def __contains__(self, recipient_hash: str) -> bool:
        """See `Suppressions.__contains__`."""
        return recipient_hash in self._known

    async def add(self, recipient_hash: str, source: str) -> None:
        """See `Suppressions.add`. Waits while the store is away."""
        self._known.add(recipient_hash)
        while not await self._insert(recipient_hash, source):  # noqa: ASYNC110 - a backoff
            await asyncio.sleep(_RETRY_S)

    async def _insert(self, recipient_hash: str, source: str) -> bool:
        try:
            # An upsert, because only an update can ask for the server's time.
            await self._collection.update_one(
                {"_id": recipient_hash},
                {"$setOnInsert": {"source": source}, "$currentDate": {"at": True}},
                upsert=True,
            )
        except DuplicateKeyError:
            return True
        except PyMongoError as error:
            self._trouble(type(error).__name__)
            return False
        return True

    async def follow(self) -> None:
        """Read what is new. Raises `StoreAway`."""
        try:
            cursor = self._collection.find({"at": {"$gte": self._since - _OVERLAP}})
            found = await cursor.to_list(None)
        except PyMongoError as error:
            raise StoreAway(type(error).__name__) from error
        for document in found:
            self._known.add(document["_id"])
            self._since = max(self._since, document["at"])
        self.loaded = True
