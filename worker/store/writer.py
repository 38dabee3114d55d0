"""Group commit: the writes of concurrent handlers go out as one bulk write.

Rules:
- Each caller gets the result of its own operation. An operation that was handed over is carried to
  its end, even when its caller is gone.
- An idle writer issues an operation at once. Under load an operation waits up to `LINGER_S` for
  others: small batches cost most (19 times as much for a document).
- Transactional operations go first; two operations on one id never share a batch.
- What one batch does, and how it is decided, is `committer`'s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import structlog

from worker.domain.messages.message import Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from worker.service import Background

LINGER_S: Final = 0.02
ENOUGH: Final = 32
"""Operations after which waiting for more company gains nothing."""
MAX_BATCH: Final = 256
STOP_WITHIN_S: Final = 10.0
"""Longer than one issue may take (`timeoutMS`), so that a store that answers decides all."""

Document = dict[str, Any]
_log = structlog.get_logger(__name__)


class HasId(Protocol):
    """An operation on one document."""

    @property
    def id(self) -> str:
        """The document's `_id`."""
        ...


Op = TypeVar("Op", bound=HasId)


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
