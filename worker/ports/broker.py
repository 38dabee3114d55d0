"""What comes from the broker, and what goes to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.domain.messages.message import Lane


@dataclass(frozen=True, slots=True)
class Incoming:
    """A delivery from a queue, as the handlers see it."""

    queue: str
    body: bytes
    redelivered: bool
    headers: Mapping[str, object]
    message_id: str | None = None
    type: str | None = None
    content_type: str | None = None
    correlation_id: str | None = None
    user_id: str | None = None
    """Vouched for by the broker; absent = unverified."""
    timestamp: datetime | None = None
    routing_key: str = ""


class Settlement(StrEnum):
    """What becomes of a delivery once its handler returned."""

    ACK = "ack"
    """Everything about it is durable elsewhere."""
    REQUEUE = "requeue"
    """Not begun (drain): back to the head of the queue."""


Handler = Callable[[Incoming], Awaitable[Settlement]]
"""The one handler type; what several handlers need wraps it (`handlers.middleware`)."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event to publish."""

    exchange: str
    key: str
    body: bytes
    id: str
    type: str = ""
    correlation_id: str | None = None
    headers: Mapping[str, str] | None = None


class Unpublishable(Exception):  # noqa: N818 - a fact about one message, named as such
    """The broker closes the connection whenever this message is published."""


class Publisher(Protocol):
    """Publishing, each call confirmed by the broker when it returns.

    Every method waits through a lost connection and repeats until confirmed: what it publishes is
    recognisable by id, so a repeat is harmless. Each raises `Unpublishable` for what the broker
    never takes.
    """

    async def event(self, event: Event) -> None:
        """Publish an event; nobody bound is not an error (the broker counts it)."""
        ...

    async def park(self, incoming: Incoming, tier: str, headers: Mapping[str, object]) -> None:
        """Publish a copy of `incoming` into a retry tier, body untouched, mandatory.

        Keeps message id, type, correlation id and headers (then `headers` over them); drops
        `user_id`, `expiration`, CC and BCC.
        """
        ...

    async def dead(self, incoming: Incoming, reason: str, headers: Mapping[str, object]) -> None:
        """Publish a copy of `incoming` to `sms.dead`, body untouched, mandatory."""
        ...


class Replier(Protocol):
    """Answers to control commands, and the wake-up of every replica."""

    async def reply(self, user: str, ident: str, body: bytes) -> None:
        """Publish to `reply.<user>.<ident>`; nobody bound is logged, never an error."""
        ...

    async def announce_state(self, body: bytes) -> None:
        """Publish `control.state`."""
        ...


class Broadcast(Protocol):
    """Publishing of metric events: best effort, never in anybody's way."""

    def metric(self, key: str, body: bytes) -> None:
        """Hand over a metric event; dropped (and counted) when the broker is away."""
        ...


class Lanes(Protocol):
    """The consumers of the lanes."""

    def pause(self, lane: Lane, seconds: float) -> None:
        """Take nothing new from a lane for that long; what is in hand goes on."""
        ...
