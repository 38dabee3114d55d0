"""What lies in a queue, and what the broker says to a client.

Rules: a message is never changed after it was published, because several queues hold the same one.
What differs from queue to queue (how often it was delivered, when it expires) is in its `Entry`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pamqp.commands import Basic


class Message:
    """A message as the broker keeps it.

    Args:
        body: as published.
        exchange: the exchange it was published to, or dead-lettered to at last.
        key: its routing key.
        headers: its headers; a delivery gets a copy.
        expiration: its own life in milliseconds, as text; None: it has none.
        properties: all other properties; their headers and expiration are not read.
    """

    __slots__ = ("body", "exchange", "expiration", "headers", "key", "properties")

    def __init__(  # noqa: PLR0917 - one is made with each publish: keywords would cost too much
        self,
        body: bytes,
        exchange: str,
        key: str,
        headers: dict[str, Any],
        expiration: str | None,
        properties: Basic.Properties,
    ) -> None:
        self.body = body
        self.exchange = exchange
        self.key = key
        self.headers = headers
        self.expiration = expiration
        self.properties = properties


class Entry:
    """A message in one queue.

    Args:
        message: the message.
        position: its place in the order of arrival.
        expires_ms: when it expires, by the server's clock; None: never.
    """

    __slots__ = ("expires_ms", "message", "position", "returns")

    def __init__(self, message: Message, position: int, expires_ms: float | None) -> None:
        self.message = message
        self.position = position
        self.expires_ms = expires_ms
        self.returns = 0
        """How often a consumer gave it back, or lost it."""


class Confirm(Enum):
    """What the broker answers to a publish."""

    TAKEN = "taken"
    """Every queue that it was routed to has it; none, if it was not mandatory."""
    RETURNED = "returned"
    """It was mandatory and no queue takes it."""
    REFUSED = "refused"
    """A queue is full."""


class Delivery:
    """A message on its way to a client.

    Args:
        entry: the message in its queue.
        tag: by which the client settles it, unique on its channel.
        headers: of the message, and what the queue adds.
        redelivered: whether it may have been delivered before.
        left: how many messages are ready behind it; only after a `get`.
    """

    __slots__ = ("entry", "headers", "left", "redelivered", "tag")

    def __init__(
        self, entry: Entry, tag: int, headers: dict[str, Any], *, redelivered: bool, left: int = 0
    ) -> None:
        self.entry = entry
        self.tag = tag
        self.headers = headers
        self.redelivered = redelivered
        self.left = left
