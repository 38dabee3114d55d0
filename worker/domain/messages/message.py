"""A message and its record: the nouns of a message's life.

Rules: values only, no behaviour that needs a clock or a store. The text and the full number live in
`Message` (what a delivered command carries) and never in `Record` (what is stored).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.migration.phases import Role


class Lane(StrEnum):
    """The queue a message first came through; frozen in the record."""

    TRANSACTIONAL = "transactional"
    """One-time codes, reminders: late is as bad as lost."""
    BULK = "bulk"
    """Campaigns: a double is worse than a delay."""


class OnUnknown(StrEnum):
    """What to do when an attempt may have left; frozen in the record with the lane."""

    RESEND = "resend"
    """At most one resend, through what was not tried, marked `possibleDuplicate`."""
    HOLD = "hold"
    """Never again by ourselves: wait for the delivery report."""


class State(StrEnum):
    """Where the record of a message stands. Set by `worker.store` on behalf of the handlers."""

    SUBMITTING = "submitting"
    """An intent is durable, its outcome is not: the one state in which a POST may be under way."""
    WAITING = "waiting"
    """Proved unsent; a copy naming the round is on its way through a retry tier."""
    ACCEPTED = "accepted"
    """Settled: a provider took it."""
    UNKNOWN = "unknown"
    """Settled for now: it may have left, and nothing is left to try or allowed."""
    FAILED = "failed"
    """Settled: given up after an attempt or after our own errors."""
    REJECTED = "rejected"
    """Settled: refused by us before any intent."""
    EXPIRED = "expired"
    """Settled: proved unsent at the end of its life."""


SETTLED = frozenset({State.ACCEPTED, State.FAILED, State.REJECTED, State.EXPIRED})
"""States no delivered command changes any more."""


class Result(StrEnum):
    """The outcome of an attempt as stored: the name of its `domain.messages.outcome` class."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Delivery(StrEnum):
    """What delivery reports say of one attempt; moves forward only: `domain.messages.receipts`."""

    NONE = "none"
    SUBMITTED = "submitted"
    """On its way: accepted by the network, buffered, queued."""
    UNDELIVERED = "undelivered"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Recipient:
    """A number as it may be stored, logged and published."""

    hash: str
    """Keyed hash (HMAC-SHA-256, hex) of the E.164 number."""
    mask: str
    """Country code and last three digits, e.g. `+260******456`."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a valid `SendSms` asks for, normalised. Carries text and number: never stored whole."""

    id: str
    to: str
    """E.164."""
    text: str
    fingerprint: str
    """Keyed hash over recipient, text and sender id: the same id with another one is a conflict."""
    recipient: Recipient
    lane: Lane
    on_unknown: OnUnknown
    expires_at: datetime
    message_type: str = "Standard"
    sender_id: str | None = None
    user_id: str | None = None
    branch_id: int | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    segments: int = 1
    """Our own estimate; the provider bills by its count."""
    probe: Role | None = None
    """A validation message, and whom it is to go through; frozen in the record."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One intent to call one provider, as decided."""

    epoch: int
    provider: str
    version: int
    """Version of the snapshot the decision was made by."""
    reason: str
    """Why this provider (`domain.migration.routing`)."""
    eligible: bool = False
    """First attempt, assigned by the percentage hash: the unit of evidence."""
    resend: bool = False
    """After an unknown one: the message may arrive twice."""
    result: Result | None = None
    """None: not known yet, or lost with the process that knew it."""
    own_fault: bool = False
    """Not sent by the fault of the message or the number, as this provider says."""
    delivery: Delivery = Delivery.NONE
    provider_message_id: str | None = None
    at: datetime | None = None
    """When it was decided."""
    sender_id: str | None = None
    """What it goes under; None: not known to us."""

    @property
    def in_doubt(self) -> bool:
        """Whether it may have left, as far as anybody knows."""
        return self.result in (None, Result.UNKNOWN)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the outbox of its record: published again byte for byte, with the same id."""

    name: str
    """Routing key on `sms.events`."""
    ordinal: int
    body: str
    """JSON."""
    event_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored of a message."""

    id: str
    fingerprint: str
    recipient: Recipient
    lane: Lane
    on_unknown: OnUnknown
    state: State
    expires_at: datetime
    round: int = 0
    """Number of the retry copy that may go on; 0 is the first delivery."""
    failed_rounds: int = 0
    """Rounds that ended in proof of not sent, counted against the budget of the lane."""
    epoch: int = 0
    """Number of intents so far; names the last attempt."""
    owner: str = ""
    lease_alive: bool = False
    """Judged by the database server's clock at the moment of the read."""
    resend_used: bool = False
    generation: int = 1
    """Rises with each replay from the dead letters: ordinal of the closing events."""
    attempts: tuple[Attempt, ...] = ()
    events: tuple[StoredEvent, ...] = ()
    correlation_id: str | None = None
    traceparent: str | None = None
    """Of the trace it is recorded in (W3C); None: in none."""
    message_type: str = "Standard"
    user_id: str | None = None
    branch_id: int | None = None
    segments: int = 1
    probe: Role | None = None
    """As in `Message`."""

    def tried(self) -> frozenset[str]:
        """Providers that any attempt of this message named."""
        return frozenset(attempt.provider for attempt in self.attempts)

    def refused_by(self) -> set[str]:
        """Providers that refused it by the fault of the message or its number."""
        return {attempt.provider for attempt in self.attempts if attempt.own_fault}

    def possibly_sent(self) -> Attempt | None:
        """The last attempt that a provider took or may have taken; not for `submitting`."""
        newest_first = reversed(self.attempts)
        return next((a for a in newest_first if a.in_doubt or a.result is Result.ACCEPTED), None)


@dataclass(frozen=True, slots=True)
class Lease:
    """Our hold on a record in `submitting`.

    `epoch` is the fencing number of the attempt: the next intent raises it, by whomever it is
    written, and then no write of this lease matches any more.
    """

    message_id: str
    owner: str
    epoch: int
    until: float
    """Monotonic seconds, counted from before the intent was written, so it ends before the
    server's."""
    round: int = 0
    failed_rounds: int = 0
    generation: int = 1
    resend_used: bool = False
    provider: str = ""
    """Whom the attempt names."""
    tried: frozenset[str] = frozenset()
    """Providers any attempt of this message named."""
