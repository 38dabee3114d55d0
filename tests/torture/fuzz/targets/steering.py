"""Whole control commands and queries to the real handlers, over the log in memory.

Every entry of the log is also written and read as the store does, because one that cannot be stored
would never be answered.
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any, Final

import bson
from bson.codec_options import CodecOptions

from contracts.codec import encode
from tests.support import control_fakes
from tests.support.alert_fakes import MemoryBook
from tests.support.fakes import Guard, HandClock, Snapshots, Suppressed
from tests.torture.fuzz import listening, looping
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import steering_seeds
from tests.torture.fuzz.targets.refusals import quotes_nothing
from worker.app.consumers import wrap
from worker.control.authenticate import bounded
from worker.control.preview import Previews
from worker.control.queries import QueryHandler
from worker.domain.migration import flags_document
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import Role
from worker.handlers.middleware import logged
from worker.numbers import normaliser
from worker.ports.broker import Incoming, Settlement
from worker.ports.store import StoreUnavailable
from worker.store import control_log

if TYPE_CHECKING:
    from contracts.control import ControlReply
    from worker.domain.migration.control_log import LogEntry
    from worker.ports.broker import Handler

_AWARE: Final = CodecOptions(tz_aware=True)
_IDENT: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_USER: Final = re.compile(r"[a-z0-9_-]+", re.ASCII)
_LONGEST_REPLY: Final = 256 * 1024
_LONGEST_LINE: Final = 4_000
_IDS: Final = ("africastalking", "legacy")
FINE: Final = Measures(
    evidence=control_fakes.PROVEN, accepted=10_000, p95_ms=150.0, delivered=5_000, judged=5_000,
    account_ok=True,
)  # fmt: skip
"""All that an advance asks for."""


class _Log(control_fakes.MemoryLog):
    """The log in memory; each entry passes through the form of the store."""

    async def append(self, entry: LogEntry) -> None:
        await control_log.ControlLogStore(_Collection(entry), self.clock).append(entry)
        await super().append(entry)


class _Collection:
    """Takes a document as the driver does, and reads it back."""

    def __init__(self, entry: LogEntry) -> None:
        self._entry = entry

    async def insert_one(self, document: Any) -> None:
        """Encode and decode it."""
        read = control_log.entry(bson.decode(bson.encode(document), _AWARE))
        must(read.after == self._entry.after, "a state that is stored reads the same", read.after)
        must(read.reply == self._entry.reply, "a reply that is stored reads the same", read.reply)


class _Nowhere:
    """Figures of a store that is away; queries about them have no input of their own."""

    def __getattr__(self, _name: str) -> Any:
        return self

    async def __call__(self, *_: Any) -> Any:
        raise StoreUnavailable("test")


class _Desk:
    """Both handlers over one log."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.log, self.told = _Log(self.clock), control_fakes.Told()
        self.book, self.suppressed = MemoryBook(self.clock), Suppressed()
        self.gave_up: list[str] = []
        self.commands = control_fakes.handler(self.log, self.told, FINE, self.book, self.suppressed)

    def handler(self, incoming: Incoming) -> Handler:
        """The handler of its queue, as the worker wraps it."""
        query = incoming.routing_key.startswith("control.query.")
        handler = self._queries() if query else self.commands
        limited = functools.partial(bounded, gave_up=self.gave_up.append)
        return wrap(handler, [logged, limited])

    def _queries(self) -> QueryHandler:
        listed, nowhere = control_fakes.consents(self.suppressed), _Nowhere()
        deciding = control_fakes.deciding(self.log, FINE, self.book, listed)
        return QueryHandler(
            status=nowhere,
            previews=Previews(self.log, deciding, nowhere, self.clock),
            series=nowhere,
            log=self.log,
            book=self.book,
            snapshots=Snapshots(self.log.entries[-1].after),
            reporting=nowhere,
            guards={Role.TARGET: Guard("africastalking"), Role.LEGACY: Guard("legacy")},
            normalise=_normalise(),
            consents=listed,
            replier=self.told,
            roles=control_fakes.ROLES,
            clock=self.clock,
        )


@functools.cache
def _normalise() -> Any:
    return normaliser("ZM", frozenset({"ZM"}), strict=True)


def check(data: bytes) -> str:
    """Handle it twice, and judge state, log and replies."""
    desk, incoming = _Desk(), steering_seeds.parted(data)
    with listening.heard() as lines:
        looping.awaited(_handled(desk, incoming))
    for line in lines:
        must(len(line) <= _LONGEST_LINE, "a line of a log is bounded", len(line))
    must(not desk.gave_up, "no error of ours", desk.gave_up)
    if not _USER.fullmatch(incoming.user_id or ""):
        must(not desk.told.replies, "nobody is answered who is not vouched for")
        return "refused: no user"
    replies = [reply for _, _, reply in desk.told.replies]
    for user, ident, reply in desk.told.replies:
        must(user == incoming.user_id, "the answer goes to the asker", user)
        must(_IDENT.fullmatch(ident), "an answer has a routing key of three words", ident)
        must(len(encode(reply)) <= _LONGEST_REPLY, "an answer is bounded")
    return f"{_verdict(replies[0])} {'query' if 'query' in incoming.routing_key else 'command'}"


def _verdict(reply: ControlReply) -> str:
    known = "read" if reply.verdict == "accepted" else "refused"
    name = reply.name if reply.name in steering_seeds.NAMES else ""
    return f"{known}: {name} {reply.code}"


async def _handled(desk: _Desk, incoming: Incoming) -> None:
    await control_fakes.begun(desk.log)
    handle = desk.handler(incoming)
    must(await handle(incoming) is Settlement.ACK, "a command is settled")
    _is_decided(desk, incoming)
    entries, state = len(desk.log.entries), desk.log.entries[-1].after
    must(await handle(incoming) is Settlement.ACK, "a command is settled")
    must(desk.log.entries[-1].after == state, "a command that comes twice is carried out once")
    must(len(desk.log.entries) == entries, "a command that comes twice is recorded once")
    first, second = desk.told.replies[:1], desk.told.replies[1:]
    same = [(reply.verdict, reply.code) for _, _, reply in first]
    again = [(reply.verdict, reply.code) for _, _, reply in second]
    must(same == again, "a command that comes twice gets the same answer", (same, again))


def _is_decided(desk: _Desk, incoming: Incoming) -> None:
    """At most one entry; the state changes only by what was accepted, and stays sound."""
    begins, *added = desk.log.entries
    must(len(added) <= 1, "one command is one entry", len(added))
    query = incoming.routing_key.startswith("control.query.")
    must(not query or not added, "a query changes nothing")
    for entry in added:
        changed = entry.after.version != begins.after.version
        must(not changed or entry.verdict == "accepted", "what is refused changes nothing", entry)
        must(incoming.user_id in control_fakes.ROLES or not changed, "only a role changes anything")
        must(0 <= entry.after.percentage <= 100, "a share is a share", entry.after.percentage)
        quotes_nothing(json.dumps(entry.command), (str(entry.command.get("reason")),
                       *map(str, entry.command.values())))  # fmt: skip
    state = desk.log.entries[-1].after
    document = flags_document.document(state.flags, state.percentage)
    read, _ = flags_document.parse(document, *_IDS)
    must(read == state.flags, "flags in force can be applied again", read)


TARGET: Final = Target(
    name="steering",
    takes="routing key, user, correlation id and headers of a command or query: four lines; then "
    "its body",
    holds="answered once, to its asker, or nobody; carried out and recorded once; what is refused "
    "changes nothing; every state can be stored and applied again; no error of ours; bounded",
    check=check,
    seeds=steering_seeds.seeds,
    share=60,
    mutators=(steering_seeds.mutated,),
    words=(b"ann\n", b"eve\n", b"control.command.", b"control.query.", b'{"x-death": 1}\n',
           *(name.encode() for name in steering_seeds.NAMES)),
)  # fmt: skip
