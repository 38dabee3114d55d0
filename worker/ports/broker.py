"""Ports for the broker: deliveries that come from it and messages that go to it."""

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
    """A delivery from a queue, as handlers get it."""

    queue: str
    body: bytes
    redelivered: bool
    headers: Mapping[str, object]
    message_id: str | None = None
    type: str | None = None
    content_type: str | None = None
    correlation_id: str | None = None
    user_id: str | None = None
    """The publisher's user, verified by the broker; None: not verified."""
    timestamp: datetime | None = None
    routing_key: str = ""


class Settlement(StrEnum):
    """What happens to a delivery after its handler returned."""

    ACK = "ack"
    """Acknowledge: everything about it is stored elsewhere."""
    REQUEUE = "requeue"
    """Requeue at the head of the queue: it was not begun because of a drain."""


Handler = Callable[[Incoming], Awaitable[Settlement]]
"""The one handler type. Wrappers add what several handlers need (`handlers.middleware`)."""


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


class Unpublishable(Exception):  # noqa: N818 - a fact about one message
    """The broker closes the connection each time this message is published."""


class Publisher(Protocol):
    """Publishes messages. When a method returns, the broker has confirmed the message.

    Every method waits while the connection is lost and repeats until confirmed. A repeat is
    harmless, because receivers recognise the message by its id. Every method raises
    `Unpublishable` for a message that the broker never takes.
    """

    async def event(self, event: Event) -> None:
        """Publish an event. No bound queue is no error; the broker counts such events."""
        ...

    async def park(self, incoming: Incoming, tier: str, headers: Mapping[str, object]) -> None:
        """Publish a mandatory copy of `incoming` with the same body to a retry tier.

        The copy keeps message id, type, correlation id and headers; `headers` override these. It
        drops `user_id`, `expiration`, CC and BCC.
        """
        ...

    async def dead(self, incoming: Incoming, reason: str, headers: Mapping[str, object]) -> None:
        """Publish a mandatory copy of `incoming` with the same body to `sms.dead`."""
        ...


class Replier(Protocol):
    """Publishes replies to control commands, and wakes up every replica."""

    async def reply(self, user: str, ident: str, body: bytes) -> None:
        """Publish to `reply.<user>.<ident>`. No bound queue is logged and is no error."""
        ...

    async def announce_state(self, body: bytes) -> None:
        """Publish `control.state`."""
        ...


class Broadcast(Protocol):
    """Publishes metric events, best effort, without delaying its callers."""

    def metric(self, key: str, body: bytes) -> None:
        """Publish a metric event. It is dropped and counted while the broker is away."""
        ...


class Lanes(Protocol):
    """The consumers of the lanes."""

    def pause(self, lane: Lane, seconds: float) -> None:
        """Take nothing new from a lane for this time. Deliveries in progress go on."""
        ...
