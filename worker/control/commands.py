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
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from contracts.codec import DecodeError, encode
from contracts.control import ControlReply, StateAnnouncement, decode_command
from worker.control import views
from worker.control.orders import Unusable, order_of
from worker.domain.gates import Measures
from worker.domain.steering import DOWNWARD, RELATIVE, Order, Rank, Ruling, decide
from worker.ports import Clash, LogEntry, Settlement, StoreAway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from contracts.control import Command
    from worker.control.orders import Providers
    from worker.domain.flags import Snapshot
    from worker.ports import Clock, ControlLog, Incoming, Replier

PREFIX: Final = "control.command."
RETRY_S: Final = 0.2
_USER: Final = re.compile(r"[a-z0-9_-]+")
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TRAVELLED: Final = ("x-death", "CC", "BCC")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CommandHandler:
    """Handles deliveries from `sms.control.command`.

    Args:
        log: the control log.
        replier: answers, and the wake-up.
        measures: what the gates are asked of, given the state in force.
        ranks: rank by broker user.
        providers: ids, for names people use.
        changed: told of each change of state (before, after, user), e.g. for an alert.
        suspicious: told of each refusal of who or how, for an alert.
        clock: time.
    """

    log: ControlLog
    replier: Replier
    measures: Callable[[Snapshot], Awaitable[Measures]]
    ranks: Mapping[str, Rank]
    providers: Providers
    changed: Callable[[Snapshot, Snapshot, str], None]
    suspicious: Callable[[str], None]
    clock: Clock

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one command to its settlement."""
        name = incoming.routing_key.removeprefix(PREFIX)
        user = incoming.user_id or ""
        refusal = self._refused_who(incoming, user, name)
        try:
            command = decode_command(incoming.body, name)
        except DecodeError as error:
            if error.message_id is not None and refusal is None:
                await self._answer_unread(incoming, user, name, error)
            else:
                self.suspicious(f"{user or 'somebody'}: {name or 'command'}: {error.reason}")
            return Settlement.ACK
        reply = await self._decided(command, user, refusal)
        await self._answer(incoming, user, command.command_id, reply)
        return Settlement.ACK

    def _refused_who(self, incoming: Incoming, user: str, name: str) -> Ruling | None:
        """A ruling on who asks and on which way it came; None: both are in order."""
        travelled = [header for header in _TRAVELLED if header in incoming.headers]
        if not _USER.fullmatch(user):
            text = f"{name}: expected a user the broker vouches for (user_id), got {user!r:.40}"
        elif travelled:
            text = f"{name}: expected a command published directly, got one with {travelled[0]}"
        elif user not in self.ranks:
            text = f"{name}: {user} has no role; an operator of the worker sets SMS_ROLES"
        else:
            return None
        self.suspicious(text)
        return Ruling(accepted=False, code="forbidden", text=text)

    # --- the decision --------------------------------------------------------------------

    async def _decided(self, command: Command, user: str, refusal: Ruling | None) -> ControlReply:
        first_version: int | None = None
        while True:
            try:
                stored = await self.log.find(user, command.command_id)
                if stored is not None:
                    return self._again(command, stored)
                last = await self.log.last()
                if last is None:
                    raise StoreAway("nothing is in force yet")
                number, state = last
                moved = first_version is not None and first_version != state.version
                first_version = state.version
                ruling = refusal or await self._rule(command, user, state, moved=moved)
                return await self._append(command, user, number + 1, state, ruling)
            except Clash:
                continue
            except StoreAway as away:
                if command.name not in DOWNWARD:
                    return self._store_unavailable(command, str(away))
                _log.warning("downward command waits for the store", name=command.name)
                await asyncio.sleep(RETRY_S)

    async def _rule(self, command: Command, user: str, state: Snapshot, *, moved: bool) -> Ruling:
        expected = command.expected_version
        stale = expected is not None and expected != state.version
        if command.name not in DOWNWARD and (stale or (moved and command.name in RELATIVE)):
            was = expected if stale else "the one it was decided on"
            text = (
                f"{command.name}: expected version {was}, {state.version} is in force; look again"
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
        age = self.clock.now() - command.issued_at
        return await order_of(command, user, self.ranks[user], age, self.providers, self.log)

    async def _append(
        self, command: Command, user: str, number: int, state: Snapshot, ruling: Ruling
    ) -> ControlReply:
        after = ruling.after or state
        reply = views.reply(command, ruling, after, self.clock.now())
        await self.log.append(
            LogEntry(
                number=number,
                user=user or "(unverified)",
                command_id=command.command_id,
                command={"fingerprint": _fingerprint(command), **views.recorded(command)},
                verdict=reply.verdict,
                before=state,
                after=after,
                reply=views.stored(reply),
                evidence={"gates": [views.gate(gate).model_dump() for gate in ruling.gates]},
            )
        )
        if ruling.after is not None:
            await self._announce(state, after, user)
        return reply

    async def _announce(self, before: Snapshot, after: Snapshot, user: str) -> None:
        announcement = StateAnnouncement(
            version=after.version, lineage=UUID(after.lineage), at=self.clock.now()
        )
        await self.replier.announce_state(encode(announcement))
        self.changed(before, after, user)

    def _again(self, command: Command, stored: LogEntry) -> ControlReply:
        if stored.command.get("fingerprint") != _fingerprint(command):
            text = f"{command.name}: command id {command.command_id} was used for another command"
            ruling = Ruling(accepted=False, code="id conflict", text=text)
            return views.reply(command, ruling, stored.after, self.clock.now())
        return ControlReply.model_validate(stored.reply)

    def _store_unavailable(self, command: Command, why: str) -> ControlReply:
        text = f"{command.name}: store unavailable ({why}); nothing changed, send it again"
        return views.unrecorded(command, "store unavailable", text, self.clock.now())

    # --- answers -------------------------------------------------------------------------

    async def _answer(
        self, incoming: Incoming, user: str, command_id: str, reply: ControlReply
    ) -> None:
        """To the vouched user alone; `reply_to` is ignored."""
        asked = incoming.correlation_id or ""
        ident = asked if _WORD.fullmatch(asked) else re.sub(r"[^A-Za-z0-9_-]", "-", command_id)
        if _USER.fullmatch(user):
            await self.replier.reply(user, ident, encode(reply))

    async def _answer_unread(
        self, incoming: Incoming, user: str, name: str, error: DecodeError
    ) -> None:
        reply = ControlReply(
            command_id=error.message_id or "",
            name=name,
            verdict="refused",
            code="invalid",
            text=f"{name}: {error.reason}",
            problems=error.problems,
            at=self.clock.now(),
        )
        await self._answer(incoming, user, reply.command_id, reply)


def _fingerprint(command: Command) -> str:
    """What two deliveries of one command share, its time of issue apart."""
    content = command.model_dump_json(exclude={"issued_at"})
    return hashlib.sha256(content.encode()).hexdigest()
