"""Answers the query `preview`: what a command would lead to now.

Rules:
- The command is decoded, translated and decided on as if it had come by itself (`deciding`), but
  nothing is recorded, announced, changed or alerted.
- Any role may ask. The code is `forbidden` only where the command would be refused for the asker's
  role. Even then, the state after it and its gates are those of an administrator's command: who may
  not steer may still see where a move would lead.
- What a command shares with every other (`commandId`, `issuedAt`, `reason`) is filled in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from contracts.answers import PreviewAnswer
from contracts.codec import DecodeError
from contracts.control_decoding import decode_command
from worker.control import authenticate, state_views, views
from worker.domain.migration import flags_differences, flags_document
from worker.domain.migration.access import AccessRole
from worker.domain.migration.decide import Decision, refused
from worker.domain.migration.direction import share
from worker.domain.migration.reply_codes import ReplyCode
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from contracts.control import Command, ControlReply, Preview
    from worker.control.deciding import Considered, Deciding
    from worker.domain.migration.changes import Change
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.clock import Clock
    from worker.ports.steering import ControlLog

MOST_DIFFERENCES: Final = 200
"""Most lines; there may be thousands of overrides."""
_LONGEST_NAME: Final = 128
_REASON: Final = "a preview"
_SHARED: Final = {"commandId": "command_id", "issuedAt": "issued_at", "reason": "reason"}


@dataclass(frozen=True, slots=True)
class Previews:
    """Answers `preview`.

    Args:
        log: the control log, which says what is in force.
        deciding: decides as for a command.
        messages_per_hour: of both providers, as measured of late. Raises `StoreUnavailable`.
        clock: time.
    """

    log: ControlLog
    deciding: Deciding
    messages_per_hour: Callable[[], Awaitable[float | None]]
    clock: Clock

    async def answer(self, query: Preview, user: str) -> ControlReply:
        """Answer the query. Raises `StoreUnavailable`."""
        last = await self.log.last()
        if last is None:
            raise StoreUnavailable("nothing is in force yet")
        state, now = last[1], self.clock.now()
        name = _name(query.command)
        try:
            command = _command(query, name, now)
        except DecodeError as error:
            reply = authenticate.not_understood(name, error, now)
            wrong = refused(ReplyCode.INVALID, reply.text)
            data = await self._answer(state, wrong, problems=reply.problems)
            return views.answer(query, data, state, now)
        change = await self.deciding.change(command, user, state)
        if isinstance(change, Decision):
            data = await self._answer(state, change, problems=views.problems(name, change))
            return views.answer(query, data, state, now)
        return await self._previewed(query, change, state)

    async def _previewed(self, query: Preview, change: Change, state: Snapshot) -> ControlReply:
        considered = effect = await self.deciding.considered(change, state)
        decision = considered.decision
        if decision.code is ReplyCode.FORBIDDEN:
            effect = await self.deciding.considered(_as_administrator(change), state)
        problems = views.problems(str(change.name), decision)
        overridable = not decision.accepted and self.deciding.overriding(change, state).accepted
        data = await self._answer(
            state, decision, effect, problems=problems, overridable=overridable
        )
        return views.answer(query, data, state, self.clock.now(), effect.decision.gates)

    async def _answer(
        self,
        state: Snapshot,
        decision: Decision,
        effect: Considered | None = None,
        *,
        problems: tuple[str, ...],
        overridable: bool = False,
    ) -> PreviewAnswer:
        """Build the answer from the decision for the asker and the effect for an administrator."""
        after = effect.after if effect else None
        wanted = effect.move.wanted if effect and effect.move else after
        before, then = share(state), share(wanted or state)
        return PreviewAnswer(
            accepted=decision.accepted,
            code=str(decision.code),
            text=decision.text,
            problems=list(problems),
            overridable=overridable,
            upward=effect is not None and effect.move is not None,
            after=state_views.state(after, self.clock.now()) if after else None,
            share_before=before,
            share_after=then,
            messages_per_hour=None if before == then else await self.messages_per_hour(),
            differences=_differences(state, after) if after else [],
        )


def _name(given: dict[str, Any]) -> str:
    """The command's name; empty if there is none, which no command has."""
    name = given.get("name")
    return name if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""


def _command(query: Preview, name: str, now: datetime) -> Command:
    """Decode as what comes by the routing key of that name. Raises `DecodeError`."""
    filled = {"commandId": query.command_id, "issuedAt": now.isoformat(), "reason": _REASON}
    missing = {
        field: value
        for field, value in filled.items()
        if field not in query.command and _SHARED[field] not in query.command
    }
    body = {**query.command, **missing, "name": name}
    return decode_command(json.dumps(body).encode(), name)


def _as_administrator(change: Change) -> Change:
    return replace(change, request=replace(change.request, role=AccessRole.ADMINISTRATOR))


def _differences(before: Snapshot, after: Snapshot) -> list[str]:
    if before.flags == after.flags:
        return []
    documents = (flags_document.document(each.flags, each.percentage) for each in (before, after))
    return flags_differences.at_most(flags_differences.differences(*documents), MOST_DIFFERENCES)
