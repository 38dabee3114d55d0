"""A stand-in for the client of the control topic: answers come from a test, when it says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from contracts.control import ControlCommand, ControlReply
from worker.broker.control_client import BrokerAway, NoAnswer

if TYPE_CHECKING:
    from contracts.control import ControlQuery

NOW: Final = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
Answer = ControlReply | Exception | Callable[[Any], ControlReply | Awaitable[ControlReply]]


def replied(asked: ControlCommand | ControlQuery, **fields: Any) -> ControlReply:
    """An accepted reply to a command or query."""
    known = {"verdict": "accepted", "code": "ok", "text": "", "at": NOW}
    ids = {"command_id": asked.command_id, "name": asked.name}
    return ControlReply(**(ids | known | fields))


@dataclass
class FakeClient:
    """Answers by the name of what is asked.

    Attributes:
        answers: by name: a reply, an error, or what makes one. Without: nobody answers, and the
            asker waits until it gives up.
        asked: everything that was asked, in order.
        tries: how often each question without an answer is sent before the test goes on.
        away: the broker takes nothing.
    """

    answers: Mapping[str, Answer] = field(default_factory=dict)
    asked: list[ControlCommand | ControlQuery] = field(default_factory=list)
    tries: int = 1
    away: bool = False

    async def ask(
        self,
        asked: ControlCommand | ControlQuery,
        within_s: float,
        on_try: Callable[[NoAnswer | None], None] | None = None,
    ) -> ControlReply:
        self.asked.append(asked)
        for _ in range(self.tries):
            if on_try is not None:
                on_try(BrokerAway("the broker: refused") if self.away else None)
        answer = self.answers.get(asked.name)
        if answer is None or self.away:
            await self._wait(asked, within_s)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, ControlReply):
            return answer.model_copy(update={"command_id": asked.command_id})
        assert answer is not None
        made = answer(asked)
        return made if isinstance(made, ControlReply) else await made

    async def _wait(self, asked: ControlCommand | ControlQuery, within_s: float) -> None:
        """A command waits for ever, so that a test can look; a query gives up at once."""
        if isinstance(asked, ControlCommand):
            await asyncio.Event().wait()
        why = BrokerAway("the broker: refused") if self.away else NoAnswer("no worker answered")
        raise type(why)(f"no answer within {within_s:g} s: {why}")

    def hear(self, call: Callable[[str], None] | None) -> None:
        """Announcements are never made."""

    async def renew(self, within_s: float) -> None:
        """The login goes on."""

    async def close(self) -> None:
        """Nothing is open."""

    def commands(self) -> list[ControlCommand]:
        """The commands that were asked."""
        return [each for each in self.asked if isinstance(each, ControlCommand)]
