"""Control commands: authorise, decide, append, announce, answer.

Rules:
- Who asks is the user the broker vouches for. A command that travelled (dead-lettered, copied by CC
  or BCC) is refused: topic permissions do not see those ways.
- One insert into the control log decides, records and makes the command once-only. A redelivered
  command gets the stored answer; the same id with other content is refused.
- A clash of places alone is tried again; a changed version refuses relative commands, while
  downward ones are decided again.
- Store away: upward commands are answered so, unrecorded, and may come again with the same id;
  downward ones stay unacknowledged until they are applied.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from contracts.codec import DecodeError, encode
from contracts.control import ControlReply, StateAnnouncement, decode_command
from worker.control import trust, views
from worker.control.orders import Unusable, order_of
from worker.domain.gates import Measures
from worker.domain.steering import DOWNWARD, RELATIVE, Ruling, decide
from worker.ports import Clash, LogEntry, Settlement, StoreAway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from contracts.control import Command
    from worker.control.orders import Providers
    from worker.domain.effects import Order, Rank
    from worker.domain.flags import Snapshot
    from worker.ports import AlertBook, Clock, ControlLog, Incoming, Replier

PREFIX: Final = "control.command."
RETRY_S: Final = 0.2
_SUSPICIOUS: Final = frozenset({"forbidden", "stale"})
"""Refusals of who asked, how it came, or when it was issued: a person must know."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CommandHandler:
    """Handles deliveries from `sms.control.command`.

    Args:
        log: the control log.
        book: alerts, which a command may acknowledge.
        replier: answers, and the wake-up.
        measures: what the gates are asked of, given the state in force.
        ranks: rank by broker user.
        providers: ids, for names people use.
        changed: told of each change of state (before, after, user), e.g. for an alert.
        suspicious: told of each refusal of who or how, for an alert.
        clock: time.
    """

    log: ControlLog
    book: AlertBook
    replier: Replier
    measures: Callable[[Snapshot], Awaitable[Measures]]
    ranks: Mapping[str, Rank]
    providers: Providers
    changed: Callable[[Snapshot, Snapshot, str], None]
    suspicious: Callable[[str], None]
    clock: Clock

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one command to its settlement."""
        user, name = trust.user(incoming), trust.name(incoming, PREFIX)
        refusal = self._refused_who(incoming, user, name)
        try:
            command = decode_command(incoming.body, name)
        except DecodeError as error:
            reply = trust.not_understood(name, error, self.clock.now())
            _log.warning("command not understood", user=user, name=name, reason=error.reason)
        else:
            reply = await self._decided(command, user, refusal)
        if reply.code in _SUSPICIOUS:
            self.suspicious(reply.text)
        await trust.answer(self.replier, incoming, reply)
        return Settlement.ACK

    def _refused_who(self, incoming: Incoming, user: str, name: str) -> Ruling | None:
        """A ruling on who asks and on which way it came; None: both are in order."""
        problem = trust.problem(incoming, PREFIX)
        if problem is None and user not in self.ranks:
            problem = f"{user} has no role; whoever runs the worker gives one in SMS_ROLES"
        if problem is None:
            return None
        return Ruling(accepted=False, code="forbidden", text=f"{name}: {problem}")

    # --- the decision --------------------------------------------------------------------

    async def _decided(self, command: Command, user: str, refusal: Ruling | None) -> ControlReply:
        decided_on: int | None = None
        while True:
            try:
                stored = await self.log.find(user, command.command_id)
                if stored is not None:
                    return await self._again(command, stored)
                number, state = await self._standing()
                moved = decided_on is not None and decided_on != state.version
                decided_on = state.version
                ruling = refusal or await self._rule(command, user, state, moved=moved)
                return await self._append(command, user, number + 1, state, ruling)
            except Clash:
                continue
            except StoreAway as away:
                if refusal is not None:
                    return views.unrecorded(command, refusal.code, refusal.text, self.clock.now())
                if command.name not in DOWNWARD:
                    return self._store_unavailable(command, str(away))
                _log.warning("downward command waits for the store", name=command.name)
                await asyncio.sleep(RETRY_S)

    async def _standing(self) -> tuple[int, Snapshot]:
        last = await self.log.last()
        if last is None:
            raise StoreAway("nothing is in force yet")
        return last

    async def _rule(self, command: Command, user: str, state: Snapshot, *, moved: bool) -> Ruling:
        expected = command.expected_version
        stale = expected is not None and expected != state.version
        if command.name not in DOWNWARD and (stale or (moved and command.name in RELATIVE)):
            was = expected if stale else "the one it was decided on"
            text = (
                f"{command.name}: expected version {was}, {state.version} is in force; "
                "look at the status and ask again"
            )
            return Ruling(accepted=False, code="version", text=text)
        try:
            order = await self._order(command, user)
        except Unusable as unusable:
            return Ruling(accepted=False, code=unusable.code, text=str(unusable))
        ruling = decide(order, state, Measures(), self.clock.now())
        if ruling.gates:  # only an upward move needs figures, and it is decided on real ones
            ruling = decide(order, state, await self.measures(state), self.clock.now())
        return ruling

    async def _order(self, command: Command, user: str) -> Order:
        return await order_of(
            command,
            user=user,
            rank=self.ranks[user],
            age=self.clock.now() - command.issued_at,
            providers=self.providers,
            log=self.log,
            book=self.book,
        )

    async def _append(
        self, command: Command, user: str, number: int, state: Snapshot, ruling: Ruling
    ) -> ControlReply:
        after = ruling.after or state
        reply = views.reply(command, ruling, after, self.clock.now())
        await self.log.append(
            LogEntry(
                number=number,
                user=user,
                command_id=command.command_id,
                command={"fingerprint": _fingerprint(command), **views.recorded(command)},
                verdict=reply.verdict,
                before=state,
                after=after,
                reply=views.stored(reply),
                evidence={
                    "gates": [views.gate(gate).model_dump() for gate in ruling.gates],
                    "acknowledges": ruling.acknowledges,
                },
            )
        )
        if ruling.acknowledges is not None:
            await self.book.acknowledge(ruling.acknowledges, user, command.reason)
        if ruling.after is not None:
            self.changed(state, after, user)
            await self._announce(after)
        return reply

    async def _announce(self, after: Snapshot) -> None:
        announcement = StateAnnouncement(
            version=after.version, lineage=UUID(after.lineage), at=self.clock.now()
        )
        await self.replier.announce_state(encode(announcement))

    async def _again(self, command: Command, stored: LogEntry) -> ControlReply:
        """The stored answer, and what may have died with whoever appended it: its follow-ups."""
        if stored.command.get("fingerprint") != _fingerprint(command):
            text = (
                f"{command.name}: command id {command.command_id} was used for another command; "
                "choose a fresh one"
            )
            return views.unrecorded(command, "id conflict", text, self.clock.now())
        if stored.before is None or stored.after.version != stored.before.version:
            await self._announce(stored.after)
        if acknowledged := stored.evidence.get("acknowledges"):
            await self.book.acknowledge(str(acknowledged), stored.user, command.reason)
        return ControlReply.model_validate({**stored.reply, "state": views.state(stored.after)})

    def _store_unavailable(self, command: Command, why: str) -> ControlReply:
        text = (
            f"{command.name}: store unavailable ({why}); send the same command id again "
            "until it is answered"
        )
        return views.unrecorded(command, "store unavailable", text, self.clock.now())


def _fingerprint(command: Command) -> str:
    """What two deliveries of one command share, its time of issue apart."""
    content = command.model_dump_json(exclude={"issued_at"})
    return hashlib.sha256(content.encode()).hexdigest()
