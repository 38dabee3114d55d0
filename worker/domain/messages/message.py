"""A message, its record and its attempts.

Rules: values only, no behaviour that needs a clock or a store. The text and the full number are in
`Message` (the delivered command) and never in `Record` (the stored document).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.migration.phases import Role


class Lane(StrEnum):
    """The queue a message first came through. It never changes in the record."""

    TRANSACTIONAL = "transactional"
    """One-time codes and reminders. A late message is as bad as a lost one."""
    BULK = "bulk"
    """Campaigns. A duplicate is worse than a delay."""


class OnUnknown(StrEnum):
    """What to do if an attempt may have left. It never changes in the record."""

    RESEND = "resend"
    """Resend at most once, through an untried provider, marked `possibleDuplicate`."""
    HOLD = "hold"
    """Never resend: wait for the delivery report."""


class State(StrEnum):
    """The state of a message's record. `worker.store` sets it on behalf of the handlers."""

    SUBMITTING = "submitting"
    """An intent is stored and its outcome is not. Only in this state a POST may be under way."""
    WAITING = "waiting"
    """The message is proved unsent. A copy naming the round passes a retry tier."""
    ACCEPTED = "accepted"
    """Settled: a provider took the message."""
    UNKNOWN = "unknown"
    """Settled for now: the message may have left, and no further attempt is possible or allowed."""
    FAILED = "failed"
    """Settled: given up after an attempt or after errors in our own code."""
    REJECTED = "rejected"
    """Settled: refused by us before any intent."""
    EXPIRED = "expired"
    """Settled: the message was proved unsent when its life ended."""


SETTLED = frozenset({State.ACCEPTED, State.FAILED, State.REJECTED, State.EXPIRED})
"""States that no delivered command changes any more."""


class Result(StrEnum):
    """The stored outcome of an attempt: the name of its class in `domain.messages.outcome`."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Delivery(StrEnum):
    """The delivery state of one attempt. It only moves forward: `domain.messages.receipts`."""

    NONE = "none"
    SUBMITTED = "submitted"
    """On its way: accepted by the network, buffered or queued."""
    UNDELIVERED = "undelivered"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class Recipient:
    """A number as it may be stored, logged and published."""

    hash: str
    """Keyed hash (HMAC-SHA-256, hex) of the E.164 number."""
    mask: str
    """Country code and last three digits, e.g. `+260******456`."""
    others: tuple[str, ...] = ()
    """The hashes of the same number with the other keys that are valid. They are never stored."""

    @property
    def hashes(self) -> tuple[str, ...]:
        """Every hash under which the number may be stored."""
        return (self.hash, *self.others)


@dataclass(frozen=True, slots=True)
class Message:
    """A valid `SendSms`, normalised. It is never stored whole, as it has text and number."""

    id: str
    to: str
    """E.164."""
    text: str
    fingerprint: str
    """Keyed hash over recipient, text and sender id. One id with two hashes is a conflict."""
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
    """Number of segments by our estimate. The provider bills by its own count."""
    probe: Role | None = None
    """Set for a probe: the provider it must go through. It never changes in the record."""
    other_fingerprints: tuple[str, ...] = ()
    """The same content with the other keys that are valid."""

    def is_content_of(self, record: Record) -> bool:
        """Whether a record of the same id is of the same content."""
        return record.fingerprint in (self.fingerprint, *self.other_fingerprints)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One intent to call one provider, as decided."""

    epoch: int
    provider: str
    version: int
    """Version of the snapshot on which the decision was made."""
    reason: str
    """Why this provider was chosen (`domain.migration.routing`)."""
    eligible: bool = False
    """Whether it counts as evidence: the first attempt, assigned by the percentage hash."""
    resend: bool = False
    """Whether it follows an unknown attempt, so that the message may arrive twice."""
    result: Result | None = None
    """None: not known yet, or lost with its process."""
    own_fault: bool = False
    """Whether this provider says it was not sent because of the message or the number."""
    delivery: Delivery = Delivery.NONE
    provider_message_id: str | None = None
    at: datetime | None = None
    """When the attempt was decided."""
    sender_id: str | None = None
    """The sender id it is sent under; None: not known."""

    @property
    def in_doubt(self) -> bool:
        """Whether the message may have left, as far as we know."""
        return self.result in (None, Result.UNKNOWN)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the outbox of its record. It is always published with the same bytes and id."""

    name: str
    """Routing key on `sms.events`."""
    ordinal: int
    body: str
    """JSON."""
    event_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """The stored record of a message."""

    id: str
    fingerprint: str
    recipient: Recipient
    lane: Lane
    on_unknown: OnUnknown
    state: State
    expires_at: datetime
    round: int = 0
    """Number of the round whose copy may continue; 0: the first delivery."""
    failed_rounds: int = 0
    """Number of rounds that proved it unsent. They count for the budget of the lane."""
    epoch: int = 0
    """Number of intents so far, and so the number of the last attempt."""
    owner: str = ""
    lease_alive: bool = False
    """Whether the lease still ran at the read, by the clock of the database server."""
    resend_used: bool = False
    generation: int = 1
    """Rises with each replay of a dead letter; the ordinal of the closing events."""
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
        """Providers that refused it because of the message or its number."""
        return {attempt.provider for attempt in self.attempts if attempt.own_fault}

    def possibly_sent(self) -> Attempt | None:
        """The last attempt that a provider took or may have taken. Not for `submitting`."""
        newest_first = reversed(self.attempts)
        return next((a for a in newest_first if a.in_doubt or a.result is Result.ACCEPTED), None)


@dataclass(frozen=True, slots=True)
class Lease:
    """Our lease of a record in `submitting`.

    `epoch` is the fencing number of the attempt. The next intent raises it, whichever worker writes
    it, and from then on no write of this lease matches.
    """

    message_id: str
    owner: str
    epoch: int
    until: float
    """End of the lease in monotonic seconds. It is counted from before the intent was written, so
    it ends before the lease ends on the server."""
    round: int = 0
    failed_rounds: int = 0
    generation: int = 1
    resend_used: bool = False
    provider: str = ""
    """The provider of the attempt."""
    tried: frozenset[str] = frozenset()
    """Providers any attempt of this message named."""
