"""Every name on the broker, in one place.

Rules: exchanges, queues, routing keys and header names are spelled here and nowhere else. A name
never changes its meaning, because publishers and consumers in other languages use it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Exchange(StrEnum):
    """Durable topic exchanges, by who writes to them."""

    COMMANDS = "sms.commands"
    """Upstream services: `SendSms`."""
    EVENTS = "sms.events"
    """The worker: delivery events."""
    METRICS = "sms.metrics"
    """The worker: metric events."""
    CONTROL = "sms.control"
    """Administrators and observers: control commands and queries."""
    STATE = "sms.state"
    """The worker: the version in force, a wake-up for every replica."""
    REPLIES = "sms.replies"
    """The worker: answers to control commands."""
    REPORTS = "sms.reports"
    """The webhook: delivery reports as the providers sent them."""
    RETRY = "sms.retry"
    """The worker: copies that wait in a tier."""
    REQUEUE = "sms.requeue"
    """The broker: copies whose wait is over."""
    LOST = "sms.lost"
    """The broker: messages that it dead-lettered from a lane by itself."""
    DEAD = "sms.dead"
    """The worker: messages that nobody will process any more."""
    UNROUTED_COMMANDS = "sms.unrouted.commands"
    """The broker: commands published with a key that no queue is bound to."""
    UNROUTED_EVENTS = "sms.unrouted.events"
    """The broker: events that no consumer was bound to take."""


class Queue(StrEnum):
    """Durable queues of the worker. Consumers have their own queues (`sms.own.<user>.*`)."""

    TRANSACTIONAL = "sms.send.transactional"
    BULK = "sms.send.bulk"
    REPORTS = "sms.reports"
    CONTROL_COMMAND = "sms.control.command"
    CONTROL_QUERY = "sms.control.query"
    LOST = "sms.lost"
    DEAD = "sms.dead"
    UNROUTED_COMMANDS = "sms.unrouted.commands"
    UNROUTED_EVENTS = "sms.unrouted.events"


RETRY_TIERS: Final[dict[str, int]] = {"5s": 5, "30s": 30, "2m": 120, "10m": 600}
"""Tier name -> wait in seconds. The queue of tier `5s` is `sms.retry.5s`, bound `5s.#`."""

RETRYABLE: Final = (Queue.TRANSACTIONAL, Queue.BULK, Queue.REPORTS)
"""Queues that a tier can return copies to; each is bound `*.<queue>` on `sms.requeue`."""


def retry_queue(tier: str) -> str:
    """Name of the queue in which copies of `tier` wait."""
    return f"sms.retry.{tier}"


def retry_key(tier: str, queue: str) -> str:
    """Routing key that parks a copy in `tier` and brings it back to `queue`."""
    return f"{tier}.{queue}"


class Key(StrEnum):
    """Routing keys that are not derived from a model."""

    SEND = "send"
    SEND_TRANSACTIONAL = "send.transactional"
    SEND_BULK = "send.bulk"
    STATE = "control.state"


COMMAND_BINDINGS: Final[dict[Queue, tuple[str, ...]]] = {
    Queue.TRANSACTIONAL: (Key.SEND, Key.SEND_TRANSACTIONAL),
    Queue.BULK: (Key.SEND_BULK,),
}
"""Which `sms.commands` keys each lane takes."""


class Header(StrEnum):
    """AMQP headers we write on copies. None starts with `x-`: brokers own that prefix."""

    ROUND = "sms-round"
    """Retry round the copy belongs to; absent = 0, the first delivery."""
    SEAL = "sms-seal"
    """Keyed hash that proves that a worker set the round."""
    ERRORS = "sms-errors"
    """How often our own code failed on this message."""
    REPORT_TRIES = "sms-report-tries"
    """How often a delivery report was retried because its message was not stored yet."""
    REPLAY = "sms-replay"
    """Set by `dead replay`: who asked for it."""
    NAMELESS = "sms-nameless"
    """On copies of messages without a message id: the AMQP property is a stand-in, ignore it."""
    REASON = "sms-reason"
    """On `sms.dead`: why the message is there, for a person."""
    SOURCE = "sms-source-queue"
    """On `sms.dead`: the queue it was taken from."""
    ATTEMPTS = "sms-attempts"
    """On `sms.dead`: provider calls made for it."""
    FIRST_AT = "sms-first-at"
    """On `sms.dead`: when we first saw it (ISO 8601, UTC)."""
    LAST_AT = "sms-last-at"
    """On `sms.dead`: when it was given up (ISO 8601, UTC)."""
    TRACEPARENT = "traceparent"
    """W3C Trace Context."""


MAX_BODY_BYTES: Final = 64 * 1024
"""Largest body that is parsed."""
