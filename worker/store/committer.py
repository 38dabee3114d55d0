"""Issues one batch of writes to MongoDB, and repeats it until each operation is decided.

Rules:
- An operation is decided only by an acknowledged write or by reading its own token back. After
  network errors, failovers and write-concern errors it is undecided. Then the *same* operations are
  issued again, with backoff, until all are decided.
- Callers encode their documents, so that a document that cannot be encoded fails alone.
- Errors of bulk writes quote documents, so only their class and code leave this module.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from worker.ports.store import StoreListener

DUPLICATE_KEY: Final = 11000
"""The server's code for a document whose unique key exists already."""
_BACKOFF_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Insert:
    """A document to insert. `token` distinguishes our insert from others."""

    id: str
    token: str
    document: RawBSONDocument

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Insert:
        """Encode now, so that a document that cannot be encoded raises here and fails alone."""
        raw = RawBSONDocument(encode(document))
        return cls(id=document["_id"], token=document["token"], document=raw)


@dataclass(frozen=True, slots=True)
class Change:
    """A compare-and-set on one document. `won` recognises its result in a document read back."""

    id: str
    update: UpdateOne
    won: Callable[[Document], bool]

    @classmethod
    def of(
        cls,
        filter_: Mapping[str, Any],
        update: Mapping[str, Any],
        won: Callable[[Document], bool],
    ) -> Change:
        """Encode now (see `Insert.of`). The filter must not match the updated document."""
        encoded = RawBSONDocument(encode(update))
        return cls(id=filter_["_id"], update=UpdateOne(dict(filter_), encoded), won=won)


class Committer:
    """Issues batches against one collection.

    Args:
        collection: with majority write and read concern and a client-side `timeoutMS`.
        view: pipeline stages for documents read back, which add whether the lease is over.
        health: called with how each issue went.
    """

    def __init__(
        self,
        collection: Any,  # motor ships no types
        view: Sequence[Mapping[str, Any]],
        health: StoreListener,
    ) -> None:
        self._collection = collection
        self._view = view
        self._health = health

    async def insert(self, batch: Sequence[Insert]) -> Mapping[str, Document | None]:
        """Issue unordered inserts; the module's rules say when each is decided."""
        results: dict[str, Document | None] = {}
        undecided = {op.id: op for op in batch}
        tries = 0
        while undecided:
            losers = await self._try_insert(undecided)
            if losers is not None:
                results |= {ident: None for ident in undecided if ident not in losers}
                settled = await self._read_back(losers, lambda op, doc: doc["token"] == op.token)
                results |= settled or {}
                undecided = {ident: op for ident, op in losers.items() if ident not in results}
            if undecided:
                tries = await self._pause(tries)
        return results

    async def _try_insert(self, undecided: Mapping[str, Insert]) -> dict[str, Insert] | None:
        """Issue once; returns operations whose id exists already; None: the result is not known."""
        ops = list(undecided.values())
        try:
            await self._collection.insert_many([op.document for op in ops], ordered=False)
            losers: dict[str, Insert] = {}
        except BulkWriteError as error:
            details = error.details or {}
            faults = details.get("writeErrors", ())
            others = [fault for fault in faults if fault["code"] != DUPLICATE_KEY]
            if details.get("writeConcernErrors") or others:
                codes = sorted({fault["code"] for fault in others})
                self._health.away(f"insert not acknowledged (codes {codes})")
                return None
            losers = {op.id: op for op in (ops[fault["index"]] for fault in faults)}
        except PyMongoError as error:
            self._health.away(type(error).__name__)
            return None
        self._health.recovered()
        return losers

    async def change(self, batch: Sequence[Change]) -> Mapping[str, Document | None]:
        """Issue unordered compare-and-sets. If all match, all won; otherwise read back."""
        ops = {op.id: op for op in batch}
        tries = 0
        while (matched := await self._try_change(ops)) is None:
            tries = await self._pause(tries)
        if matched == len(ops):
            return dict.fromkeys(ops)
        while (settled := await self._read_back(ops, lambda op, doc: op.won(doc))) is None:
            tries = await self._pause(tries)
        # A compare-and-set on a document that does not exist has lost.
        return {ident: settled.get(ident, {}) for ident in ops}

    async def _try_change(self, ops: Mapping[str, Change]) -> int | None:
        try:
            done = await self._collection.bulk_write(
                [op.update for op in ops.values()], ordered=False
            )
        except PyMongoError as error:
            self._health.away(type(error).__name__)
            return None
        self._health.recovered()
        return int(done.matched_count)

    async def _read_back(
        self, ops: Mapping[str, Any], won: Callable[[Any, Document], bool]
    ) -> dict[str, Document | None] | None:
        """Read the documents; returns what became of each, or None if that is not known."""
        if not ops:
            return {}
        try:
            cursor = self._collection.aggregate(
                [{"$match": {"_id": {"$in": list(ops)}}}, *self._view]
            )
            stored = await cursor.to_list(None)
        except PyMongoError as error:
            self._health.away(type(error).__name__)
            return None
        found = {document["_id"]: document for document in stored}
        return {ident: None if won(ops[ident], each) else each for ident, each in found.items()}

    async def _pause(self, tries: int) -> int:
        await asyncio.sleep(_BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)])
        return tries + 1
