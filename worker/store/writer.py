"""Group commit: the writes of concurrent handlers go out as one bulk write.

Rules:
- Each caller gets the result of its own operation. An operation is always finished, even if its
  caller is gone.
- An idle writer issues an operation at once. Under load an operation waits up to `LINGER_S` for
  others, because small batches cost most (up to 19 times as much for each document).
- Transactional operations go first. Two operations on one id are never in one batch.
- `committer` issues a batch and decides its operations.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from worker.domain.messages.message import Lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from worker.service import Background

LINGER_S: Final = 0.02
ENOUGH: Final = 32
"""Number of operations from which waiting for more gains nothing."""
MAX_BATCH: Final = 256
STOP_WITHIN_S: Final = 10.0
"""Longer than one issue may take (`timeoutMS`), so that a working store can decide all."""

Document = dict[str, Any]


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
    """Batches operations and waits until each is decided.

    Args:
        commit: issues one batch; returns by id None (won) or the document that is stored instead.
        background: runs the writer. If it dies, the process ends; waiters would wait for ever.
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
        self._issued: Sequence[_Waiting[Op]] = ()
        background.owes("writes of records", self._undecided)

    async def start(self) -> None:
        """Start the writer."""
        self._runner = self._background.spawn(self._run(), "group commit")

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Finish the waiting operations, then stop.

        Operations that the store does not decide within `within_s` seconds are left undone; their
        leases end. A store that is away must not keep the process from ending.
        """
        self._stopping = True
        self._arrived.set()
        self._enough.set()
        if self._runner is None:
            return
        _, undecided = await asyncio.wait({self._runner}, timeout=within_s)
        if undecided:
            self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)
        self._runner = None

    async def run(self, op: Op, lane: Lane) -> Document | None:
        """Carry out one operation; None: it won, else the document that is stored instead."""
        waiting = _Waiting(op)
        self._pending[lane].append(waiting)
        self._arrived.set()
        if self._waiting() >= ENOUGH:
            self._enough.set()
        return await waiting.done  # a cancelled waiter cancels only its own future, never the write

    def _undecided(self) -> int:
        return self._waiting() + sum(not each.done.done() for each in self._issued)

    def _waiting(self) -> int:
        return sum(len(queue) for queue in self._pending.values())

    async def _run(self) -> None:
        while True:
            if not self._waiting():
                if self._stopping:
                    return
                await self._idle()
                continue  # `stop` wakes an idle writer too; then the batch is empty
            await self._gather_company()
            await self._write(self._take())

    async def _idle(self) -> None:
        """Wait for the first operation. After a real pause, the load before no longer counts."""
        clock = asyncio.get_running_loop().time
        since = clock()
        self._arrived.clear()
        await self._arrived.wait()
        if clock() - since > LINGER_S:
            self._last_batch = 0

    async def _gather_company(self) -> None:
        """Wait for more operations, but only if the last batch shows that more will come."""
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
        self._issued = batch
        try:
            results = await self._commit([waiting.op for waiting in batch])
        except Exception as error:  # noqa: BLE001 - every waiter gets the error
            for waiting in batch:
                _fail(waiting.done, error)
            return
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_result(results[waiting.op.id])


def _fail(done: asyncio.Future[Document | None], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
        done.exception()  # the loop must not complain if a waiter is gone
