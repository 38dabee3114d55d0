"""Handles control commands: authorise, decide, append, announce, reply.

Rules:
- The asker is the user that the broker vouches for. A command that was forwarded (dead-lettered,
  copied by CC or BCC) is refused, because topic permissions do not see those routes.
- One insert into the control log decides and records the command, and makes it once-only. A
  redelivered command gets the stored reply; the same id with other content is refused.
- If another entry takes our number in the log, the command is decided again. If that entry changed
  the version, relative commands are refused, except downward ones.
- While the store is unavailable, an upward command gets that reply. It may be recorded all the
  same, if only the answer of the store was lost; the same id again gets what is recorded. A
  downward command stays unacknowledged until it is applied.
- If this worker's code cannot read the stored state, any command gets that reply: a newer replica
  may take the next try.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from contracts.codec import DecodeError, encode
from contracts.control import AddSuppression, ControlReply, RemoveSuppression, StateAnnouncement
from contracts.control_decoding import decode_command
from worker.control import authenticate, consents, state_views, views
from worker.domain.migration.change_names import DOWNWARD
from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.decide import Decision, refused
from worker.domain.migration.reply_codes import ReplyCode
from worker.ports.broker import Settlement
from worker.ports.store import StoreUnavailable, UnreadableDocument, WriteConflict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from contracts.control import Command
    from worker.control.consents import Consents
    from worker.control.deciding import Deciding
    from worker.domain.migration.access import AccessRole
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.alerts import AlertBook
    from worker.ports.broker import Incoming, Replier
    from worker.ports.clock import Clock
    from worker.ports.steering import ControlLog

PREFIX: Final = "control.command."
RETRY_S: Final = 0.2
_SUSPICIOUS: Final = frozenset({ReplyCode.FORBIDDEN, ReplyCode.STALE})
"""Refusals because of the user, the route or the time of issue: people are alerted."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CommandHandler:
    """Handles deliveries from `sms.control.command`.

    Args:
        log: the control log.
        book: alerts, which a command may acknowledge.
        replier: sends replies and announces a new state.
        roles: access role by broker user.
        deciding: decides on a command.
        consents: the list of who wants no messages, which a command may change.
        changed: called with each change of state (before, after, user), e.g. for an alert.
        suspicious: called with the text of each suspicious refusal, for an alert.
        clock: time.
    """

    log: ControlLog
    book: AlertBook
    replier: Replier
    roles: Mapping[str, AccessRole]
    deciding: Deciding
    consents: Consents
    changed: Callable[[Snapshot, Snapshot, str], None]
    suspicious: Callable[[str], None]
    clock: Clock

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one command completely."""
        user, name = authenticate.user(incoming), authenticate.name(incoming, PREFIX)
        refusal = self._refused_who(incoming, user, name)
        try:
            command = decode_command(incoming.body, name)
        except DecodeError as error:
            reply = authenticate.not_understood(name, error, self.clock.now())
            _log.warning("command not understood", user=user, name=name, reason=error.reason)
        else:
            reply = await self._settle(command, user, refusal)
        if reply.code in _SUSPICIOUS:
            self.suspicious(reply.text)
        await authenticate.answer(self.replier, incoming, reply)
        return Settlement.ACK

    def _refused_who(self, incoming: Incoming, user: str, name: str) -> Decision | None:
        """Return a refusal because of the user or the route; None if both are in order."""
        problem = authenticate.problem(incoming, PREFIX)
        if problem is None and user not in self.roles:
            problem = f"{user} has no role; the operator of the worker gives one in SMS_ROLES"
        if problem is None:
            return None
        return refused(ReplyCode.FORBIDDEN, f"{name}: {problem}")

    # --- the decision --------------------------------------------------------------------

    async def _settle(self, command: Command, user: str, refusal: Decision | None) -> ControlReply:
        decided_on: int | None = None
        while True:
            try:
                stored = await self.log.find(user, command.command_id)
                if stored is not None:
                    return await self._again(command, stored)
                number, state = await self._standing()
                moved = decided_on is not None and decided_on != state.version
                decided_on = state.version
                decision = refusal or await self.deciding.decide(command, user, state, moved=moved)
                return await self._append(command, user, number + 1, state, decision)
            except WriteConflict:
                continue
            except StoreUnavailable as away:
                if refusal is not None:
                    return views.unrecorded(command, refusal.code, refusal.text, self.clock.now())
                if command.name not in DOWNWARD or isinstance(away, UnreadableDocument):
                    return self._store_unavailable(command, str(away))
                _log.warning("downward command waits for the store", name=command.name)
                await asyncio.sleep(RETRY_S)

    async def _standing(self) -> tuple[int, Snapshot]:
        last = await self.log.last()
        if last is None:
            raise StoreUnavailable("nothing is in force yet")
        return last

    async def _append(
        self, command: Command, user: str, number: int, state: Snapshot, decision: Decision
    ) -> ControlReply:
        after = decision.after or state
        reply = views.reply(command, decision, after, self.clock.now())
        await self.log.append(
            LogEntry(
                number=number,
                user=user,
                command_id=command.command_id,
                command={
                    "fingerprint": self._fingerprints(command)[0],
                    **views.recorded(command),
                    **({"recipient": decision.wish.recipient.mask} if decision.wish else {}),
                },
                verdict=reply.verdict,
                before=state,
                after=after,
                reply=views.stored(reply),
                evidence={
                    "gates": [views.recorded_gate(gate) for gate in decision.gates],
                    "acknowledges": decision.acknowledges,
                    "wish": consents.stored(decision.wish) if decision.wish else None,
                },
            )
        )
        if decision.acknowledges is not None:
            await self.book.acknowledge(decision.acknowledges, user, command.reason)
        if decision.wish is not None:
            await self.consents.carry_out(decision.wish)
        if decision.after is not None:
            self.changed(state, after, user)
            await self._announce(after)
        return reply

    async def _announce(self, after: Snapshot) -> None:
        announcement = StateAnnouncement(
            version=after.version, lineage=UUID(after.lineage), at=self.clock.now()
        )
        await self.replier.announce_state(encode(announcement))

    async def _again(self, command: Command, stored: LogEntry) -> ControlReply:
        """Return the stored reply; repeat its follow-ups, in case that replica died too early."""
        if stored.command.get("fingerprint") not in self._fingerprints(command):
            text = (
                f"{command.name}: command id {command.command_id} was used for another command; "
                "choose a new one"
            )
            return views.unrecorded(command, ReplyCode.ID_CONFLICT, text, self.clock.now())
        if stored.before is None or stored.after.version != stored.before.version:
            await self._announce(stored.after)
        if acknowledged := stored.evidence.get("acknowledges"):
            await self.book.acknowledge(str(acknowledged), stored.user, command.reason)
        if wish := stored.evidence.get("wish"):
            await self.consents.carry_out(consents.read(wish))
        standing = state_views.state(stored.after, self.clock.now())
        return ControlReply.model_validate({**stored.reply, "state": standing})

    def _store_unavailable(self, command: Command, why: str) -> ControlReply:
        text = (
            f"{command.name}: store unavailable ({why}); send the same command id again "
            "until it is answered"
        )
        return views.unrecorded(command, ReplyCode.STORE_UNAVAILABLE, text, self.clock.now())

    def _fingerprints(self, command: Command) -> tuple[str, ...]:
        """Hash the content of a command without its time of issue, to recognise a redelivery.

        The first is stored; the others are those of the other keys.
        """
        content = command.model_dump_json(exclude={"issued_at"})
        if isinstance(command, AddSuppression | RemoveSuppression):
            return self.consents.seals(content)
        return (hashlib.sha256(content.encode()).hexdigest(),)
