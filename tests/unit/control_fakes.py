"""Stand-ins for what the command handler is given: the log in memory, and what it tells."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from worker.ports import Clash, Clock, LogEntry, StoreAway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from worker.domain.flags import Snapshot


class MemoryLog:
    """The `ControlLog` port in memory; shared by several handlers as a store is.

    Attributes:
        entries: as appended.
        away: raise `StoreAway` from every method.
        between: awaited before and after each step, so that schedules can interleave and kill.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.entries: list[LogEntry] = []
        self.away = False
        self.between: Callable[[], Awaitable[None]] = _turn

    async def last(self) -> tuple[int, Snapshot] | None:
        await self._step()
        return (self.entries[-1].number, self.entries[-1].after) if self.entries else None

    async def append(self, entry: LogEntry) -> None:
        await self._step()
        numbers = {each.number for each in self.entries}
        names = {(each.user, each.command_id) for each in self.entries}
        if entry.number in numbers or (entry.user, entry.command_id) in names:
            raise Clash
        self.entries.append(replace(entry, at=self.clock.now()))
        await self.between()

    async def find(self, user: str, command_id: str) -> LogEntry | None:
        await self._step()
        name = (user, command_id)
        return next((e for e in self.entries if (e.user, e.command_id) == name), None)

    async def history(self, limit: int, before: int | None) -> list[LogEntry]:
        await self._step()
        older = [e for e in self.entries if before is None or e.number < before]
        return older[::-1][:limit]

    async def state_at(self, version: int) -> Snapshot | None:
        await self._step()
        return next((e.after for e in self._changes() if e.after.version == version), None)

    async def known_good(self, for_s: float) -> Snapshot | None:
        await self._step()
        for later, earlier in pairwise(reversed(self._changes())):
            if (later.at - earlier.at).total_seconds() >= for_s:
                return earlier.after
        return None

    def _changes(self) -> list[LogEntry]:
        return [
            entry
            for entry in self.entries
            if entry.before is None or entry.before.version != entry.after.version
        ]

    async def _step(self) -> None:
        await self.between()
        if self.away:
            raise StoreAway("test")


async def _turn() -> None:
    await asyncio.sleep(0)
