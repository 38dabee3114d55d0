"""Stores which recipients want no messages of which sender, and keeps a local table of them.

Rules:
- Only keyed hashes and masks are stored. Each recipient has one document. Its wishes change by
  compare-and-set on its revision and its time. It is never removed, because an opt-in must reach
  every replica as a change.
- On reading, senders get the present spelling, also if an older version spelled them differently.
- A document without wishes has the older form and means every sender. Older workers read every
  document this way and send nothing to its recipient. If they add an opt-out to a document with
  wishes, they only change its time, so that it differs from `written`. Such an opt-out is about
  every sender.
- The whole table is loaded before anything is sent. Then changes are read every second, by the
  server's time of change. An overlap is read again, so that a late commit is not missed. A change
  dated later than now does not move the next read forward. If the server's clock goes back,
  everything is read again. Also, one part of the table is read again each second in any case.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from worker.domain.messages import consent
from worker.domain.messages.consent import EVERY_SENDER, Listed, Wish
from worker.domain.messages.message import Recipient
from worker.ports.store import StoreUnavailable
from worker.store.errors import errors_as_unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.ports.clock import Clock

COLLECTION: Final = "suppressions"
_OVERLAP: Final = timedelta(minutes=1)
_STEADY_S: Final = 10
"""The overlap covers a clock that goes back by less than this."""
_PART: Final = 500
"""Number of documents that are read again each second."""
_BEGINNING: Final = datetime(1970, 1, 2, tzinfo=UTC)
_RETRY_S: Final = 0.5
_NOBODY: Final[tuple[int, frozenset[str]]] = (0, frozenset())
_TOUCHED: Final = {"$and": [{"$eq": ["$rev", "$written.rev"]}, {"$ne": ["$at", "$written.at"]}]}
_STOPPED: Final = {
    "$or": [{"wishes": {"$exists": False}}, {"wishes.stopped": True}, {"$expr": _TOUCHED}]
}
Document = dict[str, Any]


class SuppressionBookStore:
    """The `SuppressionBook` port on MongoDB.

    Args:
        collection: `suppressions`.
        sender: a sender id as wishes name it.
    """

    def __init__(
        self, collection: Any, sender: Callable[[str | None], str] = consent.sender
    ) -> None:
        self._collection = collection
        self._sender = sender

    async def read(self, recipient_hash: str) -> tuple[Wish, ...]:
        """See `SuppressionBook.read`."""
        documents = await self._find({"_id": recipient_hash}, limit=1)
        return self.wishes(documents[0]) if documents else ()

    async def recent(self, limit: int) -> list[Listed]:
        """See `SuppressionBook.recent`."""
        documents = await self._find(_STOPPED, limit)
        return [Listed(Recipient(d["_id"], d.get("mask", "")), self.wishes(d)) for d in documents]

    def wishes(self, document: Document) -> tuple[Wish, ...]:
        """The wishes of a document, with senders in the present spelling."""
        standing: tuple[Wish, ...] = ()
        for wish in _wishes(document):
            named = replace(wish, sender=self._sender(wish.sender))
            standing = consent.heard(standing, named)
        return standing

    async def put(self, recipient: Recipient, wish: Wish) -> None:
        """See `SuppressionBook.put`."""
        await self.put_and_read(recipient, wish)

    async def put_and_read(self, recipient: Recipient, wish: Wish) -> list[Document]:
        """Record a wish under every hash of its recipient, so that the newest one is under each.

        Returns the documents that are stored then. Raises `StoreUnavailable`.
        """
        return [await self._put(each, recipient.mask, wish) for each in recipient.hashes]

    async def _put(self, ident: str, mask: str, wish: Wish) -> Document:
        while True:
            documents = await self._find({"_id": ident}, limit=1)
            before = documents[0] if documents else None
            standing = self.wishes(before) if before else ()
            after = consent.heard(standing, wish)
            if before is not None and after == standing:
                return before
            document = {
                "wishes": [_of_wish(each) for each in after],
                "mask": mask or (before or {}).get("mask", ""),
                "rev": _revision(before) + 1,
            }
            if await self._swap(ident, before, document):
                return {"_id": ident, **document}

    async def _swap(self, ident: str, before: Document | None, document: Document) -> bool:
        """Replace the document that was read; False: another write was faster."""
        read = {name: (before or {}).get(name) for name in ("rev", "at")}  # None: no document
        written = {"rev": {"$literal": document["rev"]}, "at": "$$NOW"}
        values = {name: {"$literal": value} for name, value in document.items()}
        with errors_as_unavailable:
            try:
                result = await self._collection.update_one(
                    {"_id": ident, **read},
                    # Only an update can set the server's time.
                    [{"$set": {**values, "at": "$$NOW", "written": written}}],
                    upsert=before is None,
                )
            except DuplicateKeyError:
                return False
        return bool(result.matched_count or result.upserted_id)

    async def changed_since(self, moment: datetime) -> list[Document]:
        """Documents changed since. Raises `StoreUnavailable`."""
        return await self._find({"at": {"$gte": moment}}, limit=0)

    async def part_after(self, ident: str, limit: int) -> list[Document]:
        """The documents that follow one, by their ids. Raises `StoreUnavailable`."""
        return await self._find({"_id": {"$gt": ident}}, limit, {"_id": ASCENDING})

    async def _find(
        self, query: Document, limit: int, order: Document | None = None
    ) -> list[Document]:
        """Find documents, each with the server's `now`."""
        pipeline = [
            {"$match": query},
            {"$sort": order or {"at": DESCENDING}},
            *([{"$limit": limit}] if limit else []),
            {"$addFields": {"now": "$$NOW"}},
        ]
        with errors_as_unavailable:
            documents: list[Document] = await self._collection.aggregate(pipeline).to_list(None)
        return documents


class SuppressionStore:
    """The `Suppressions` port on MongoDB.

    Args:
        collection: `suppressions`.
        away: called with the reason when the store is away.
        clock: monotonic time.
        sender: a sender id as wishes name it.
    """

    def __init__(
        self,
        collection: Any,
        away: Callable[[str], None],
        clock: Clock,
        sender: Callable[[str | None], str] = consent.sender,
    ) -> None:
        self._book = SuppressionBookStore(collection, sender)
        self._store_away = away
        self._clock = clock
        self._known: dict[str, tuple[int, frozenset[str]]] = {}
        self._unwritten: Counter[tuple[str, str]] = Counter()
        self._since = _BEGINNING
        self._read_to = ""
        self._ahead_s = -math.inf
        self.loaded = False

    def stops(self, recipient_hash: str, senders: frozenset[str]) -> bool:
        """See `Suppressions.stops`."""
        unwanted = self._known.get(recipient_hash, _NOBODY)[1]
        unwritten = {sender for ident, sender in self._unwritten if ident == recipient_hash}
        return consent.stops(unwanted | unwritten, senders)

    async def record(self, recipient: Recipient, wish: Wish) -> None:
        """See `Suppressions.record`. Waits while the store is away."""
        if wish.stopped:  # this replica stops sending at once, even if the write fails
            self._unwritten[recipient.hash, wish.sender] += 1
        while not await self._put(recipient, wish):  # noqa: ASYNC110 - a backoff
            await asyncio.sleep(_RETRY_S)
        if wish.stopped:
            self._unwritten[recipient.hash, wish.sender] -= 1
            self._unwritten += Counter()  # drops wishes that are stored now

    async def _put(self, recipient: Recipient, wish: Wish) -> bool:
        try:
            for document in await self._book.put_and_read(recipient, wish):
                self._take(document)
        except StoreUnavailable as away:
            self._store_away(str(away))
            return False
        return True

    async def follow(self) -> None:
        """Read all changes, and one part of the table again. Raises `StoreUnavailable`."""
        part = await self._book.part_after(self._read_to, _PART)
        if part and self._went_back(part[0]["now"]):
            self._since = _BEGINNING
        for document in part:
            self._take(document)
        for document in await self._book.changed_since(self._since - _OVERLAP):
            self._take(document)
            if document["at"] <= document["now"]:
                self._since = max(self._since, document["at"])
        self._read_to = part[-1]["_id"] if len(part) == _PART else ""
        self.loaded = True

    def _went_back(self, now: datetime) -> bool:
        """Whether the server's clock went back since the last read, by our monotonic clock."""
        ahead_s = now.timestamp() - self._clock.monotonic()
        before_s, self._ahead_s = self._ahead_s, ahead_s
        return ahead_s < before_s - _STEADY_S

    def _take(self, document: Document) -> None:
        """Take a document into the table, unless a later one was read."""
        revision = _revision(document)
        if revision >= self._known.get(document["_id"], _NOBODY)[0]:
            self._known[document["_id"]] = revision, consent.stopped(self._book.wishes(document))


def _revision(document: Document | None) -> int:
    return int(document.get("rev", 0)) if document else 0


def _wishes(document: Document) -> tuple[Wish, ...]:
    stored = document.get("wishes")
    if stored is None:  # it has the older form
        return (_every_sender(document),)
    wishes = tuple(_wish(each, document) for each in stored)
    return consent.heard(wishes, _every_sender(document)) if _touched(document) else wishes


def _touched(document: Document) -> bool:
    """Whether an older worker without wishes wrote last. It only changes the time."""
    written = document.get("written", {})
    ours = "rev" in written and written["rev"] == document["rev"]
    return bool(ours and written["at"] != document["at"])


def _every_sender(document: Document) -> Wish:
    return _wish({**document, "sender": EVERY_SENDER, "stopped": True}, document)


def _wish(stored: Document, document: Document) -> Wish:
    wish = Wish(
        sender=stored["sender"],
        stopped=stored["stopped"],
        at=stored["at"],
        source=stored.get("source", ""),
    )
    if "now" not in document:  # we wrote it
        return wish
    return consent.dated(wish, document["at"], document["now"])


def _of_wish(wish: Wish) -> Document:
    return {"sender": wish.sender, "stopped": wish.stopped, "at": wish.at, "source": wish.source}
