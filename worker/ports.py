"""What the handlers need from the outside, as protocols.

Rules: handlers import these and never an implementation; `worker.app` hands them in. A port that
answers with a value of `worker.domain` has already judged its driver's errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from worker.domain.delivery import OptOut, Report
    from worker.domain.message import Lane
    from worker.domain.outcome import AccountFault, Money, Outcome


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now(self) -> datetime:
        """Wall clock, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


# --- providers -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS as handed to one provider."""

    message_id: str
    epoch: int
    """Names the attempt; with `message_id` it is our own reference where a provider takes one."""
    to: str
    """E.164; an adapter converts to its provider's form."""
    text: str
    sender_id: str | None
    """The message's own sender id; None: the provider's configured one."""
    valid_for_s: float
    """Life left at the time of the call, seconds."""
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class AccountHealth:
    """Answer of a provider's account check."""

    ok: bool
    reason: str
    balance: Money | None = None
    fault: AccountFault | None = None


class Provider(Protocol):
    """One SMS provider on the wire."""

    @property
    def id(self) -> str:
        """Configured id, lower case."""
        ...

    async def send(self, sms: Sms) -> Outcome:
        """Call the provider once. Never raises for what the provider or the network does."""
        ...

    async def check(self) -> AccountHealth:
        """Ask for the account's health without sending anything. Never raises either."""
        ...

    def read_report(self, kind: str, fields: Mapping[str, str]) -> Report | OptOut:
        """Read a callback as the webhook took it (`kind` is `delivery` or `optout`).

        Raises:
            ValueError: the callback names neither a message nor a recipient.
        """
        ...

    async def close(self) -> None:
        """Close connections. Idempotent."""
        ...


class BreakerState(StrEnum):
    """State of one provider's circuit breaker, as published."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Slot(Protocol):
    """A place at one provider's limiter, held from before the intent until after the outcome."""

    def admit(self) -> bool:
        """Ask the breaker, synchronously, before the intent; in half-open: take the one probe."""
        ...

    async def send(self, sms: Sms) -> tuple[Outcome, float]:
        """Call the provider; returns the outcome and the duration in milliseconds.

        The breaker learns the outcome before this returns. Needs `admit` first.
        """
        ...

    def release(self) -> None:
        """Give the place (and an unused probe) back. Idempotent."""
        ...


class Guard(Protocol):
    """Breaker and limits in front of one provider."""

    @property
    def provider_id(self) -> str:
        """Id of the guarded provider."""
        ...

    @property
    def state(self) -> BreakerState:
        """For events, heartbeats and status."""
        ...

    def passable(self) -> bool:
        """Whether a call would be let through now: closed, or a probe is due and free."""
        ...

    def probe_due_in(self) -> float:
        """Seconds until `passable` can become true; 0 when it is."""
        ...

    async def slot(self, lane: Lane) -> Slot:
        """Wait for a place (concurrency and rate); transactional first."""
        ...

    def share_between(self, replicas: int) -> None:
        """Take `1 / replicas` of the account's limits: falling at once, rising after 5 s."""
        ...


# --- broker --------------------------------------------------------------------------------


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


Handler = "Callable[[Incoming], Awaitable[Settlement]]"
"""The one handler type; cross-cutting work wraps it (`handlers.middleware`)."""


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


class Publisher(Protocol):
    """Publishing, each call confirmed by the broker when it returns.

    Every method waits through a lost connection and repeats until confirmed: what it publishes is
    recognisable by id, so a repeat is harmless.
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


class Broadcast(Protocol):
    """Publishing of metric events: best effort, never in anybody's way."""

    def metric(self, key: str, body: bytes) -> None:
        """Hand over a metric event; dropped (and counted) when the broker is away."""
        ...


# --- registry of attempts ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """One attempt as the metrics see it."""

    provider: str
    outcome: Outcome
    duration_ms: float
    lane: str
    message_type: str
    branch_id: int | None
    segments: int
    cost: Money | None
    eligible: bool
    recipient_hash: str
    fallback: bool


class Meter(Protocol):
    """Counts attempts; synchronous, never fails."""

    def attempt(self, measured: Measured) -> None:
        """Count one finished attempt."""
        ...

    def skipped(self, provider: str, *, eligible: bool, recipient_hash: str) -> None:
        """Count a candidate passed over because its breaker is open."""
        ...

    def judged(self, provider: str, *, delivered: bool, eligible: bool) -> None:
        """Count an accepted attempt judged at the delivery age."""
        ...


__all__: Sequence[str] = (
    "AccountHealth",
    "BreakerState",
    "Broadcast",
    "Clock",
    "Event",
    "Guard",
    "Handler",
    "Incoming",
    "Measured",
    "Meter",
    "Provider",
    "Publisher",
    "Settlement",
    "Slot",
    "Sms",
)
