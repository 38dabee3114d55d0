"""Sends the commands of one session, and knows what became of each.

Rules: a command is sent again with the same id until it is answered, so that it is done once. What
can only take messages from the target is tried for as long as the session lasts; what may go up is
too old after 30 s, and then nobody tries any more. The same id with the same content is the same
command: a form that is sent twice does nothing twice. What is kept is bounded; an emergency is
never turned away, but takes the place of the oldest. The log has name and id of a command, never
its reason or a number.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

import structlog
from pydantic import ValidationError

from contracts.answers import HistoryAnswer, LogEntryView
from contracts.control import History
from worker.broker.control_client import NoAnswer, NotAllowed
from worker.console.steering.conflicts import mover
from worker.console.steering.progress import Progress
from worker.domain.migration.change_names import DOWNWARD, ChangeName
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from contracts.control import ControlCommand, ControlQuery, ControlReply

MOST: Final = 50
"""Most commands that a session keeps; the oldest answered ones are forgotten first."""
UPWARD_WITHIN_S: Final = 30.0
DOWNWARD_WITHIN_S: Final = 8 * 3_600.0
_HISTORY_WITHIN_S: Final = 2.0
_LOOKED_BACK: Final = 50
_log = structlog.get_logger(__name__)


class Asks(Protocol):
    """Sends a command or query and waits for the reply (`control_client.ControlClient`)."""

    async def ask(
        self,
        asked: ControlCommand | ControlQuery,
        within_s: float,
        on_try: Callable[[NoAnswer | None], None] | None = None,
    ) -> ControlReply:
        """Raise `NoAnswer` or `NotAllowed` if no reply comes."""
        ...


class TooMany(Exception):  # noqa: N818 - a fact about the session, not a failure of ours
    """The session has too many commands on their way."""


class OtherContent(Exception):  # noqa: N818 - see `TooMany`
    """The id was used for another command."""


@dataclass(slots=True)
class _Sent:
    """A command on its way, or answered."""

    command: ControlCommand
    began: float
    sent: int = 0
    hindrance: str = ""
    reply: ControlReply | None = None
    replied: float = 0.0
    failure: str = ""
    refused_by_broker: bool = False
    moved_by: LogEntryView | None = None
    task: asyncio.Task[None] | None = None

    def tried(self, hindrance: NoAnswer | None) -> None:
        """Count a try to send."""
        self.sent += hindrance is None
        self.hindrance = str(hindrance or "")

    @property
    def is_over(self) -> bool:
        return self.task is not None and self.task.done()


@dataclass(slots=True)
class Sending:
    """The commands of one session.

    Args:
        client: asks with the login of the session.
        user: name of that login.
        clock: seconds of the console's monotonic clock.
    """

    client: Asks
    user: str
    clock: Callable[[], float]
    _kept: dict[str, _Sent] = field(default_factory=dict)

    def send(self, command: ControlCommand) -> None:
        """Send a command; a command that is known is not sent anew.

        Raises:
            TooMany: too many commands of this session are on their way.
            OtherContent: the id was used for another command.
        """
        known = self._kept.get(command.command_id)
        if known is not None and _content(known.command) != _content(command):
            raise OtherContent
        if known is not None and not known.failure:
            return
        self._make_room(command)
        sent = _Sent(command, self.clock(), sent=known.sent if known else 0)
        self._kept[command.command_id] = sent
        sent.task = asyncio.create_task(self._send(sent), name=f"command {command.command_id}")
        _log.info("command sent", user=self.user, name=command.name, id=command.command_id)

    async def settle(self, ident: str, within_s: float) -> None:
        """Wait until a command is answered or given up, but no longer than some seconds."""
        sent = self._kept.get(ident)
        if sent is not None and sent.task is not None:
            await asyncio.wait({sent.task}, timeout=within_s)

    def progress(self, ident: str) -> Progress | None:
        """How far a command is; None: this session knows of none with that id."""
        sent = self._kept.get(ident)
        if sent is None:
            return None
        if sent.task is not None and sent.task.done():
            sent.task.result()  # a failure of ours is not hidden
        return Progress(
            command=sent.command,
            user=self.user,
            elapsed_s=self.clock() - sent.began,
            sent=sent.sent,
            hindrance=sent.hindrance,
            reply=sent.reply,
            failure=sent.failure,
            refused_by_broker=sent.refused_by_broker,
            moved_by=sent.moved_by,
        )

    def since_reply(self, ident: str) -> float | None:
        """Seconds since a command was answered; None: it was not."""
        sent = self._kept.get(ident)
        return None if sent is None or sent.reply is None else self.clock() - sent.replied

    async def close(self) -> None:
        """Stop trying. What the broker took is carried out all the same."""
        tasks = {sent.task for sent in self._kept.values() if sent.task and not sent.task.done()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._kept.clear()

    def _make_room(self, command: ControlCommand) -> None:
        over = [ident for ident, sent in self._kept.items() if sent.is_over]
        for ident in over[: max(len(self._kept) - MOST + 1, 0)]:
            del self._kept[ident]
        if len(self._kept) < MOST:
            return
        if command.name != ChangeName.EMERGENCY_ROLLBACK:
            raise TooMany
        oldest = self._kept.pop(next(iter(self._kept)))
        if oldest.task is not None:
            oldest.task.cancel()

    async def _send(self, sent: _Sent) -> None:
        command = sent.command
        within_s = DOWNWARD_WITHIN_S if command.name in DOWNWARD else UPWARD_WITHIN_S
        try:
            sent.reply = await self.client.ask(command, within_s, sent.tried)
        except NotAllowed as refusal:
            sent.failure, sent.refused_by_broker = str(refusal), True
        except NoAnswer as nobody:
            sent.failure = str(nobody)
        else:
            sent.replied = self.clock()
            if sent.reply.code == ReplyCode.VERSION:
                sent.moved_by = await self._mover(command)
        code = sent.reply.code if sent.reply else "no answer"
        _log.info("command answered", name=command.name, id=command.command_id, code=code)

    async def _mover(self, command: ControlCommand) -> LogEntryView | None:
        """The entry of whoever moved meanwhile; None: it cannot be found out now."""
        entries = await newest(self.client, _LOOKED_BACK)
        return mover(entries, command.expected_version)


async def newest(client: Asks, limit: int) -> list[LogEntryView]:
    """The newest entries of the history; empty: they are not known now."""
    query = History(command_id=str(uuid4()), limit=limit)
    try:
        reply = await client.ask(query, _HISTORY_WITHIN_S)
        return HistoryAnswer.model_validate(reply.data or {}).entries
    except (NoAnswer, NotAllowed, ValidationError):
        return []


def _content(command: ControlCommand) -> dict[str, object]:
    return command.model_dump(exclude={"issued_at"})
