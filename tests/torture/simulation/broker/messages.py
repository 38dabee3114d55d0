"""What lies in a queue, and what the broker says to a client.

Rules: a message is never changed after it was published, because several queues hold the same one.
What differs from queue to queue (how often it came back, when it expires) is in its `Entry`.
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
        copies_to: further routing keys (headers CC and BCC).
    """

    __slots__ = ("body", "copies_to", "exchange", "expiration", "headers", "key", "properties")

    def __init__(  # noqa: PLR0917 - one is made with each publish: keywords would cost too much
        self,
        body: bytes,
        exchange: str,
        key: str,
        headers: dict[str, Any],
        expiration: str | None,
        properties: Basic.Properties,
        copies_to: tuple[str, ...] = (),
    ) -> None:
        self.body = body
        self.exchange = exchange
        self.key = key
        self.headers = headers
        self.expiration = expiration
        self.properties = properties
        self.copies_to = copies_to


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
        queue: the name of the queue.
        tag: by which the client settles it, unique on its channel.
        headers: of the message, and what the queue adds.
        left: how many messages are ready behind it; counted after a `get` only.
    """

    __slots__ = ("entry", "headers", "left", "queue", "tag")

    def __init__(
        self, entry: Entry, queue: str, tag: int, headers: dict[str, Any], left: int = 0
    ) -> None:
        self.entry = entry
        self.queue = queue
        self.tag = tag
        self.headers = headers
        self.left = left

    @property
    def message(self) -> Message:
        """The message."""
        return self.entry.message

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before."""
        return self.entry.returns > 0
