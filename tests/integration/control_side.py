"""The worker's side of the control topic in a test: hears, remembers, answers as it is told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import aio_pika

from contracts.codec import encode
from contracts.control import ControlReply
from contracts.control_views import GateView, StateView
from contracts.names import Exchange, Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

FLAGS = {
    "SmsFeatureFlags": {
        "EnableAfricasTalking": True,
        "EnableLegacy": True,
        "AfricasTalkingTrafficPercentage": 25,
    },
    "MigrationSettings": {"MinimumPhaseTimeMinutes": 30.0},
}
GATES = (
    GateView(gate="lock", required="none", measured="none", verdict="pass"),
    GateView(
        gate="success",
        required=">= 98 %",
        measured="nothing",
        sample=7,
        verdict="not enough data",
        missing="93 outcomes, about 4.0 min at the present rate",
    ),
)


def state(version: int = 7, percentage: int = 25) -> StateView:
    """What is in force."""
    return StateView(
        version=version,
        phase="GradualMigration",
        percentage=percentage,
        initiated_by="administrator",
        is_rollback_available=True,
        flags=FLAGS,
    )


def replica(
    name: str = "replica-1", applied: int | None = 7, oldest: int | None = None
) -> dict[str, Any]:
    """A heartbeat as `status` shows it."""
    return {
        "replica": name,
        "applied": applied,
        "oldestUnsent": oldest,
        "breakers": {"africastalking": "closed", "legacy": "closed"},
        "inHand": 3,
        "consuming": True,
        "ageS": 0.4,
    }


@dataclass
class Asked:
    """A command or query as it came."""

    key: str
    user: str | None
    body: dict[str, Any]
    raw: bytes
    correlation_id: str | None
    reply_to: str | None


@dataclass
class ControlSide:
    """Answers every command and query with what `answers` says for its name.

    Attributes:
        url: login of the worker.
        asked: everything that came, in order.
        answers: fields of the reply by name; a function is called with what was asked; None
            answers nothing.
        deaf: answers nothing while above 0, counted down with each delivery.
    """

    url: str
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    deaf: int = 0
    connection: AbstractConnection | None = None

    async def __aenter__(self) -> Self:
        self.connection = await aio_pika.connect(self.url)
        self.channel = await self.connection.channel(on_return_raises=True)
        for name in (Queue.CONTROL_COMMAND, Queue.CONTROL_QUERY):
            queue = await self.channel.get_queue(name, ensure=False)
            await queue.purge()
            await queue.consume(self._receive, no_ack=True)
        self.answers.setdefault(
            "status", {"state": state(), "version": 7, "data": {"replicas": [replica()]}}
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.connection is not None
        await self.connection.close()

    def named(self, name: str) -> list[Asked]:
        """What came under that name."""
        return [each for each in self.asked if each.key.endswith(f".{name}")]

    def only(self, name: str) -> Asked:
        """The only one of that name."""
        (found,) = self.named(name)
        return found

    async def _receive(self, delivery: AbstractIncomingMessage) -> None:
        body = json.loads(delivery.body)
        asked = Asked(
            delivery.routing_key or "",
            delivery.user_id,
            body,
            delivery.body,
            delivery.correlation_id,
            delivery.reply_to,
        )
        self.asked.append(asked)
        if self.deaf:
            self.deaf -= 1
            return
        name = asked.key.rsplit(".", 1)[-1]
        answer: dict[str, Any] | Callable[[Asked], dict[str, Any] | None] | None
        answer = self.answers.get(name, {})
        fields = answer(asked) if callable(answer) else answer
        if fields is not None:
            await self.reply(asked, name, fields)

    async def reply(self, asked: Asked, name: str, fields: dict[str, Any]) -> None:
        """Publish a reply to whoever asked."""
        reply = ControlReply(
            **{
                "command_id": asked.body["commandId"],
                "name": name,
                "verdict": "accepted",
                "code": "ok",
                "text": f"{name}: done",
                "version": 8,
                "at": datetime.now(UTC),
                **fields,
            }
        )
        exchange = await self.channel.get_exchange(Exchange.REPLIES, ensure=False)
        key = f"reply.{asked.user}.{asked.correlation_id}"
        await exchange.publish(aio_pika.Message(encode(reply)), key, mandatory=False)
