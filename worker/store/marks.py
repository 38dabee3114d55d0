"""Marks events in the outbox that the broker has confirmed.

Rules: if a mark is lost, an event is only published once more with the same id. So marks are
written late and in batches, and all of them before the process ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from worker.service import every

if TYPE_CHECKING:
    from worker.domain.messages.message import StoredEvent
    from worker.service import Background

EVERY_S: Final = 0.25
_log = structlog.get_logger(__name__)


class Marks:
    """Collects marks and writes them every `EVERY_S`."""

    def __init__(self, collection: Any, background: Background) -> None:
        self._collection = collection
        self._background = background
        self._pending: dict[str, dict[str, None]] = {}
        self._stopping = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        background.owes("messages whose events will come again", lambda: len(self._pending))

    async def start(self) -> None:
        """Start to write."""
        writing = every(EVERY_S, self._write, self._stopping)
        self._runner = self._background.spawn(writing, "outbox marks")

    async def stop(self) -> None:
        """Write the remaining marks, then stop."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner
            self._runner = None

    def add(self, message_id: str, events: tuple[StoredEvent, ...]) -> None:
        """Note events of one message as confirmed."""
        self._pending.setdefault(message_id, {}).update({e.event_id: None for e in events})

    async def _write(self) -> None:
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        try:
            await self._collection.bulk_write(
                [_mark(ident, list(ids)) for ident, ids in pending.items()], ordered=False
            )
        except PyMongoError as error:  # harmless: the sweeper publishes these events again
            _log.warning("outbox marks not written", error=type(error).__name__)
            if self._stopping.is_set():
                self._pending = pending


def _mark(message_id: str, event_ids: list[str]) -> UpdateOne:
    return UpdateOne({"_id": message_id}, {"$pullAll": {"unconfirmed": event_ids}})
