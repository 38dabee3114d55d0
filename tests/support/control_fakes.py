"""Stand-ins for what the command handler is given: the log in memory, and what it tells."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from contracts.codec import encode
from contracts.control import ControlCommand, ControlReply, StateAnnouncement
from tests.support.alert_fakes import MemoryBook
from tests.support.fakes import KEY, Suppressed, snapshot
from worker.control.commands import CommandHandler
from worker.control.consents import Consents
from worker.control.deciding import Deciding
from worker.control.translate import Providers, Translator
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.margin import Block
from worker.domain.migration.access import AccessRole
from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.gates import Measures
from worker.domain.migration.last_known_good import Version, stood_well
from worker.domain.migration.phases import Phase
from worker.domain.migration.snapshot import AUTOMATIC
from worker.numbers import normaliser
from worker.ports.broker import Incoming
from worker.ports.store import StoreUnavailable, WriteConflict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.clock import Clock

PROVEN: Final = Evidence(
    low=((9.0,) * 5,) * 3, no_worse=((9.0,) * 2,) * 3, counted=(Block(1, 500, 1, 500),) * 3
)
"""Everything an advance asks for is proved."""


class MemoryLog:
    """The `ControlLog` port in memory; shared by several handlers as a store is.

    Attributes:
        entries: as appended.
        away: raise `StoreUnavailable` from every method.
        between: awaited before and after each step, so that schedules can interleave and kill.
    """

    def __init__(self, clock: Clock, entries: list[LogEntry] | None = None) -> None:
        self.clock = clock
        self.entries = [] if entries is None else entries
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
            raise WriteConflict
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

    async def state_on(self, at: datetime) -> Snapshot | None:
        await self._step()
        older = [each.after for each in self._changes() if each.at is None or each.at <= at]
        return older[-1] if older else None

    async def moves(self, since: datetime, limit: int) -> list[LogEntry]:
        await self._step()
        newer = [each for each in self._changes() if each.at is not None and each.at > since]
        return [each for each in reversed(newer) if _moved(each)][:limit]

    async def known_good(self, for_s: float) -> Snapshot | None:
        await self._step()
        for later, earlier in pairwise(reversed(self._changes())):
            stood = stood_well(_version(earlier), _version(later), for_s)
            if stood and not self._held(earlier.number, later.number):
                return earlier.after
        return None

    def _held(self, after: int, before: int) -> bool:
        return any(
            entry.user == AUTOMATIC and entry.command["name"] == "hold"
            for entry in self.entries
            if after < entry.number < before
        )

    def _changes(self) -> list[LogEntry]:
        return [
            entry
            for entry in self.entries
            if entry.before is None or entry.before.version != entry.after.version
        ]

    async def _step(self) -> None:
        await self.between()
        if self.away:
            raise StoreUnavailable("test")


def _moved(entry: LogEntry) -> bool:
    before, after = entry.before, entry.after
    return before is None or _goes_by(before) != _goes_by(after)


def _goes_by(state: Snapshot) -> tuple[object, ...]:
    flags = state.flags
    return state.phase, state.percentage, flags.target_enabled, flags.legacy_enabled


def _version(entry: LogEntry) -> Version:
    assert entry.at is not None
    return Version(entry.number, entry.at, entry.after.automatic_downs)


async def _turn() -> None:
    await asyncio.sleep(0)


class Told:
    """The `Replier` port, and what the handler tells besides: kept in order."""

    def __init__(self) -> None:
        self.replies: list[tuple[str, str, ControlReply]] = []
        self.announced: list[int] = []
        self.changes: list[tuple[Snapshot, Snapshot, str]] = []
        self.suspicions: list[str] = []
        self.between: Callable[[], Awaitable[None]] = _turn

    async def reply(self, user: str, ident: str, body: bytes) -> None:
        await self.between()
        self.replies.append((user, ident, ControlReply.model_validate_json(body)))

    async def announce_state(self, body: bytes) -> None:
        await self.between()
        self.announced.append(StateAnnouncement.model_validate_json(body).version)

    def changed(self, before: Snapshot, after: Snapshot, user: str) -> None:
        self.changes.append((before, after, user))

    @property
    def last(self) -> ControlReply:
        return self.replies[-1][2]


ROLES = {
    "ann": AccessRole.ADMINISTRATOR,
    "ben": AccessRole.ADMINISTRATOR,
    "oda": AccessRole.OPERATOR,
    "eve": AccessRole.OBSERVER,
}
LINEAGE = "0b7c9dd4-3a38-4c2e-8c7a-1f2f3b6f9a03"


def consents(
    suppressed: Suppressed, key: bytes = KEY, other_keys: tuple[bytes, ...] = ()
) -> Consents:
    """The list of who wants no messages as commands and queries see it."""
    known = normaliser("ZM", frozenset({"ZM"}), strict=True)
    return Consents(suppressed, known, key, other_keys=other_keys)


def deciding(
    log: MemoryLog, measures: Measures | None, book: MemoryBook, listed: Consents
) -> Deciding:
    """What decides on commands and their previews."""

    async def measured(_state: Snapshot) -> Measures:
        return measures or Measures()

    translator = Translator(
        providers=Providers("africastalking", "legacy"),
        roles=ROLES,
        log=log,
        book=book,
        consents=listed,
    )
    return Deciding(translator, measured, log.clock)


def handler(
    log: MemoryLog,
    told: Told,
    measures: Measures | None = None,
    book: MemoryBook | None = None,
    suppressed: Suppressed | None = None,
) -> CommandHandler:
    """A command handler as one replica has it."""
    book, listed = book or MemoryBook(log.clock), consents(suppressed or Suppressed())
    return CommandHandler(
        log=log,
        book=book,
        replier=told,
        roles=ROLES,
        deciding=deciding(log, measures, book, listed),
        consents=listed,
        changed=told.changed,
        suspicious=told.suspicions.append,
        clock=log.clock,
    )


def asked(
    clock: Clock,
    kind: type[ControlCommand],
    ident: str = "c-1",
    by: str | None = "ann",
    **more: Any,
) -> Incoming:
    """A command as the broker delivers it; `headers` and `routing_key` may be given."""
    properties = {
        name: more.pop(name)
        for name in ("headers", "routing_key", "correlation_id")
        if name in more
    }
    body = {"command_id": ident, "issued_at": clock.now(), "reason": "because"} | more
    command = kind(**body)
    made = Incoming(
        queue="sms.control.command",
        body=encode(command),
        redelivered=False,
        headers={},
        user_id=by,
        routing_key=f"control.command.{command.name}",
    )
    return replace(made, **properties)


async def begun(log: MemoryLog, percentage: int = 25, **flags: Any) -> None:
    """Entry 1: in force since a day."""
    phase = Phase.GRADUAL_MIGRATION if percentage else Phase.NOT_STARTED
    first = replace(
        snapshot(percentage, phase, 1, **flags),
        lineage=LINEAGE,
        since=log.clock.now() - timedelta(days=1),
    )
    await log.append(
        LogEntry(1, "worker", "seed", {"name": "seed"}, "accepted", None, first, {}, {})
    )
