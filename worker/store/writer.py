"""Group commit: the writes of concurrent handlers go out as one bulk write.

Rules:
- Each waiter gets its own result; nothing is fire-and-forget, nothing is cancelled: an operation
  that was handed over is carried to its end even when its waiter is gone.
- At idle an operation goes out at once. Under load it waits up to `LINGER_S` for company: small
  batches are what costs (19 times per document).
- Transactional operations go first; two operations on one id never share a batch.
- An operation is decided only by an acknowledged write or by reading its own token back. Network
  errors, failovers and write-concern errors leave it undecided: the *same* operations are issued
  again, with backoff, until decided.
- Documents are encoded by the caller, so one that cannot be encoded fails alone.
- Errors of bulk writes echo documents: only their class and code leave this module.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import structlog
from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from worker.domain.message import Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from worker.service import Background

LINGER_S: Final = 0.02
ENOUGH: Final = 32
"""Operations after which waiting for more company gains nothing."""
MAX_BATCH: Final = 256
STOP_WITHIN_S: Final = 10.0
"""Longer than one issue may take (`timeoutMS`), so that a store that answers decides all."""
_BACKOFF_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_DUPLICATE_KEY: Final = 11000

Document = dict[str, Any]
_log = structlog.get_logger(__name__)


class HasId(Protocol):
    """An operation on one document."""

    @property
    def id(self) -> str:
        """The document's `_id`."""
        ...


Op = TypeVar("Op", bound=HasId)


@dataclass(frozen=True, slots=True)
class Insert:
    """A document to insert; `token` tells our insert from another's."""

    id: str
    token: str
    document: RawBSONDocument

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Insert:
        """Encode now, so that what cannot be encoded raises here and fails nobody else."""
        raw = RawBSONDocument(encode(document))
        return cls(id=document["_id"], token=document["token"], document=raw)


@dataclass(frozen=True, slots=True)
class Change:
    """A compare-and-set on one document; `won` recognises it in the document read back."""

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
        """Encode now (see `Insert.of`). The filter must not match what the update produced."""
        encoded = RawBSONDocument(encode(update))
        return cls(id=filter_["_id"], update=UpdateOne(dict(filter_), encoded), won=won)


@dataclass(slots=True)
class _Waiting(Generic[Op]):
    op: Op
    done: asyncio.Future[Document | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class GroupCommit(Generic[Op]):
    """Batches operations and carries each to its decision.

    Args:
        commit: issues one batch; returns by id None (won) or the document that stands instead.
        background: runs it; its death ends the process, or every waiter would wait for ever.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Op]], Awaitable[Mapping[str, Document | None]]],
        background: Background,
    ) -> None:
        self._commit = commit
        self._background = background
        self._pending: dict[Lane, deque[_Waiting[Op]]] = {lane: deque() for lane in Lane}
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._last_batch = 0
        self._runner: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Begin to write."""
        self._runner = self._background.spawn(self._run(), "group commit")

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Decide what was handed over, then end.

        What the store does not decide within `within_s` seconds is left to the end of its lease:
        a store that is away must not keep the process from ending.
        """
        self._stopping = True
        self._arrived.set()
        self._enough.set()
        if self._runner is None:
            return
        _, undecided = await asyncio.wait({self._runner}, timeout=within_s)
        if undecided:
            _log.warning("writes left undecided", waiting=self._waiting() + self._last_batch)
            self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)
        self._runner = None

    async def run(self, op: Op, lane: Lane) -> Document | None:
        """Carry out one operation; None when it won, else the document that stands instead."""
        waiting = _Waiting(op)
        self._pending[lane].append(waiting)
        self._arrived.set()
        if self._waiting() >= ENOUGH:
            self._enough.set()
        return await waiting.done  # a cancelled waiter cancels its own future, never the write

    def _waiting(self) -> int:
        return sum(len(queue) for queue in self._pending.values())

    async def _run(self) -> None:
        while True:
            if not self._waiting():
                if self._stopping:
                    return
                await self._idle()
                continue  # `stop` wakes an idle writer too: an empty batch is no batch
            await self._gather_company()
            await self._write(self._take())

    async def _idle(self) -> None:
        """Wait for the first operation; a real pause forgets the load before it."""
        clock = asyncio.get_running_loop().time
        since = clock()
        self._arrived.clear()
        await self._arrived.wait()
        if clock() - since > LINGER_S:
            self._last_batch = 0

    async def _gather_company(self) -> None:
        """Wait for more, but only when the last batch shows that more will come."""
        self._enough.clear()
        busy = self._last_batch > 1 or self._waiting() > 1
        if not busy or self._waiting() >= ENOUGH or self._stopping:
            return
        try:
            async with asyncio.timeout(LINGER_S):
                await self._enough.wait()
        except TimeoutError:
            return

    def _take(self) -> list[_Waiting[Op]]:
        batch: dict[str, _Waiting[Op]] = {}
        for queue in (self._pending[Lane.TRANSACTIONAL], self._pending[Lane.BULK]):
            later: list[_Waiting[Op]] = []
            while queue and len(batch) < MAX_BATCH:
                waiting = queue.popleft()
                if waiting.op.id in batch:
                    later.append(waiting)
                else:
                    batch[waiting.op.id] = waiting
            queue.extendleft(reversed(later))
        self._last_batch = len(batch)
        return list(batch.values())

    async def _write(self, batch: list[_Waiting[Op]]) -> None:
        try:
            results = await self._commit([waiting.op for waiting in batch])
        except Exception as error:  # noqa: BLE001 - handed to every waiter, none is lost
            for waiting in batch:
                _fail(waiting.done, error)
            return
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_result(results[waiting.op.id])


def _fail(done: asyncio.Future[Document | None], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
        done.exception()  # a waiter that is gone must not make the loop complain


class Committer:
    """Issues batches against one collection.

    Args:
        collection: with majority write and read concern and a client-side `timeoutMS`.
        view: pipeline stages applied to documents read back (the server's verdict on the lease).
        trouble: told when an issue fails and, with None, when one succeeds again.
    """

    def __init__(
        self,
        collection: Any,  # motor ships no types
        view: Sequence[Mapping[str, Any]],
        trouble: Callable[[str | None], None],
    ) -> None:
        self._collection = collection
        self._view = view
        self._trouble = trouble

    async def insert(self, batch: Sequence[Insert]) -> Mapping[str, Document | None]:
        """Unordered inserts; see the module's rules for what decides."""
        results: dict[str, Document | None] = {}
        undecided = {op.id: op for op in batch}
        tries = 0
        while undecided:
            losers = await self._try_insert(undecided, results)
            if losers is not None:
                undecided = await self._read_back(
                    {op.id: op for op in losers}, lambda op, doc: doc["token"] == op.token, results
                )
            if undecided:
                tries = await self._pause(tries)
        return results

    async def _try_insert(
        self, undecided: Mapping[str, Insert], results: dict[str, Document | None]
    ) -> list[Insert] | None:
        """One issue. Returns those whose id exists already; None when nothing is known."""
        ops = list(undecided.values())
        try:
            await self._collection.insert_many([op.document for op in ops], ordered=False)
            losers: list[Insert] = []
        except BulkWriteError as error:
            details = error.details or {}
            faults = details.get("writeErrors", ())
            others = [fault for fault in faults if fault["code"] != _DUPLICATE_KEY]
            if details.get("writeConcernErrors") or others:
                codes = sorted({fault["code"] for fault in others})
                self._trouble(f"insert not acknowledged (codes {codes})")
                return None
            losers = [ops[fault["index"]] for fault in faults]
        except PyMongoError as error:
            self._trouble(type(error).__name__)
            return None
        self._trouble(None)
        lost = {op.id for op in losers}
        results.update({op.id: None for op in ops if op.id not in lost})
        return losers

    async def change(self, batch: Sequence[Change]) -> Mapping[str, Document | None]:
        """Unordered compare-and-sets; all matched without an error: all won; else read back."""
        results: dict[str, Document | None] = {}
        ops = {op.id: op for op in batch}
        tries = 0
        while (matched := await self._try_change(ops)) is None:
            tries = await self._pause(tries)
        if matched == len(ops):
            return dict.fromkeys(ops)
        undecided = ops
        while undecided := await self._read_back(
            undecided, lambda op, doc: op.won(doc), results, gone_is_lost=True
        ):
            tries = await self._pause(tries)
        return results

    async def _try_change(self, ops: Mapping[str, Change]) -> int | None:
        try:
            done = await self._collection.bulk_write(
                [op.update for op in ops.values()], ordered=False
            )
        except PyMongoError as error:
            self._trouble(type(error).__name__)
            return None
        self._trouble(None)
        return int(done.matched_count)

    async def _read_back(
        self,
        ops: Mapping[str, Any],
        won: Callable[[Any, Document], bool],
        results: dict[str, Document | None],
        *,
        gone_is_lost: bool = False,
    ) -> dict[str, Any]:
        """Settle by reading; returns what is still undecided."""
        if not ops:
            return {}
        try:
            cursor = self._collection.aggregate(
                [{"$match": {"_id": {"$in": list(ops)}}}, *self._view]
            )
            found = await cursor.to_list(None)
        except PyMongoError as error:
            self._trouble(type(error).__name__)
            return dict(ops)
        undecided = dict(ops)
        for document in found:
            op = undecided.pop(document["_id"])
            results[op.id] = None if won(op, document) else document
        if gone_is_lost:  # a compare-and-set on a document that does not exist
            results.update({ident: {} for ident in undecided})
            return {}
        return undecided

    async def _pause(self, tries: int) -> int:
        await asyncio.sleep(_BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)])
        return tries + 1
