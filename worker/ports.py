"""What the handlers need from the outside, as protocols.

Rules: handlers import these and never an implementation; `worker.app` hands them in. A port that
answers with a value of `worker.domain` has already judged its driver's errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from worker.domain.delivery import OptOut, Report, StoredReport
    from worker.domain.evidence import Evidence
    from worker.domain.flags import Snapshot
    from worker.domain.judgement import Topic
    from worker.domain.message import Attempt, Lane, Lease, Message, Record, State, StoredEvent
    from worker.domain.notice_text import Notice
    from worker.domain.notices import Alert, Kind, Severity, Sighting
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

    @property
    def gives_reports(self) -> bool:
        """Whether delivery reports can come; without, delivery is "not applicable"."""
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

    @property
    def fault(self) -> str:
        """What is wrong with our account there, until the breaker closes; empty: nothing."""
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


# --- store ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that came to an end, as it is written."""

    outcome: Outcome
    duration_ms: float
    cost: Money | None = None
    """From the reply, else from the tariff file."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A terminal record to insert where there is none: refused or expired before any intent."""

    message_id: str
    state: State
    events: tuple[StoredEvent, ...]
    message: Message | None = None
    """None where the command could not be understood."""


class Messages(Protocol):
    """Records of messages. Every write is a compare-and-set carried to its decision.

    A method that returns a `Record` lost: that record stands instead. While the store is away the
    methods wait; nothing is sent meanwhile.
    """

    async def look(self, message_id: str) -> Record | None:
        """Read a record; the lease is judged by the server's clock."""
        ...

    async def claim(self, message: Message, attempt: Attempt) -> Lease | Record:
        """Insert the first intent."""
        ...

    async def close_new(self, closing: Closing) -> Record | None:
        """Insert a terminal record; None: inserted."""
        ...

    async def intend(
        self,
        base: Lease | Record,
        attempt: Attempt,
        previous: Finished | None = None,
        *,
        lane: Lane,
    ) -> Lease | Record:
        """Raise the epoch with a further intent, recording how the previous attempt ended."""
        ...

    async def settle(
        self,
        lease: Lease,
        state: State,
        finished: Finished,
        events: tuple[StoredEvent, ...],
        *,
        lane: Lane,
    ) -> Record | None:
        """Write an outcome that ends the attempts; None: written."""
        ...

    async def wait(
        self, lease: Lease, finished: Finished | None, *, counted: bool, lane: Lane
    ) -> Record | int:
        """Write `waiting`; returns the round the copy must carry.

        Args:
            lease: the hold that ends.
            finished: how the last attempt ended; None when its intent was never acted on.
            counted: whether the round counts against the budget.
            lane: for the order of writes.
        """
        ...

    async def close(
        self, record: Record, state: State, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """End a record that is `waiting` at the record's round; None: written."""
        ...

    async def declare_unknown(
        self, record: Record, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """Turn a `submitting` record whose lease is dead into `unknown`; None: written."""
        ...

    async def late(self, lease: Lease, finished: Finished) -> None:
        """Append an outcome that came too late to its attempt."""
        ...

    def confirmed(self, message_id: str, events: tuple[StoredEvent, ...]) -> None:
        """Note that the broker confirmed events; written soon and in batches, at stop at last."""
        ...


class Reported(Protocol):
    """Records as delivery reports and the sweeper see them. Methods raise `StoreAway`."""

    async def by_reference(self, provider: str, provider_message_id: str) -> Record | None:
        """The record whose attempt the provider named so."""
        ...

    async def find(self, message_id: str) -> Record | None:
        """The record of our own id."""
        ...

    async def unknown_of(self, recipient_hash: str) -> list[Record]:
        """Records of a recipient, `unknown` or in hand, within the report deadline; at most 2."""
        ...

    async def report(
        self,
        record: Record,
        epoch: int,
        report: Report,
        events: tuple[StoredEvent, ...],
        *,
        proves: bool,
    ) -> bool:
        """Move the delivery of an attempt forward; False: the record changed, look again.

        Args:
            record: as read.
            epoch: the attempt the report is about.
            report: what it says.
            events: what becomes of it for consumers.
            proves: the record is `unknown` and this proves it `accepted`.
        """
        ...


class Due(Protocol):
    """Records the sweeper has to look at, a bounded number each. Methods raise `StoreAway`."""

    async def dead_leases(self, *, extra_s: float, lane: Lane) -> list[Record]:
        """`submitting`, and the lease dead for longer than `extra_s`."""
        ...

    async def unannounced(self, *, older_s: float) -> list[tuple[Record, tuple[StoredEvent, ...]]]:
        """Records with events the broker has not confirmed, with those events."""
        ...

    async def take_judged(self) -> list[Record]:
        """Accepted records at the delivery age; each is handed out once, to one replica."""
        ...

    async def overdue(self) -> list[Record]:
        """Records past the report deadline without a final report."""
        ...

    async def unreported(self, record: Record, events: tuple[StoredEvent, ...]) -> bool:
        """Note that no report came; False: the record changed."""
        ...


class Reports(Protocol):
    """Delivery reports as stored. Methods raise `StoreAway`."""

    async def keep(
        self, report: Report, recipient_hash: str | None, received_at: datetime
    ) -> StoredReport:
        """Store a report; one that came before is found, not doubled."""
        ...

    async def matched(self, ident: str) -> None:
        """The fact stands in its record."""
        ...

    async def waiting_for(self, references: Sequence[str]) -> list[StoredReport]:
        """Unmatched reports that name any of these references."""
        ...

    async def orphans(self) -> list[StoredReport]:
        """Unmatched reports whose turn to be tried again has come."""
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


# --- what is in force ----------------------------------------------------------------------


class Snapshots(Protocol):
    """The flags and state in force, as last verified against the store."""

    @property
    def current(self) -> Snapshot | None:
        """Newest verified snapshot; None before the first."""
        ...

    def is_fresh(self) -> bool:
        """Whether it was verified recently enough to send by (5 s)."""
        ...

    async def fresh(self) -> Snapshot:
        """Wait until there is a fresh one."""
        ...


class Suppressions(Protocol):
    """Recipients who opted out; a local set, followed every second."""

    def __contains__(self, recipient_hash: str) -> bool:
        """Whether no provider may be asked for this recipient."""
        ...

    async def add(self, recipient_hash: str, source: str) -> None:
        """Record an opt-out durably; known here when it returns, elsewhere within a second."""
        ...


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a replica says of itself every second."""

    replica: str
    """Owner UUID of the process start."""
    applied: int | None
    """Version of its snapshot; None before the first."""
    oldest_unsent: int | None
    """Oldest version of any intent decided and not yet sent."""
    breakers: Mapping[str, str]
    """Breaker state by provider id."""
    faults: Mapping[str, str]
    """What a provider told of our account with it, by its id; absent: nothing is wrong."""
    in_hand: int
    """Deliveries not settled yet."""
    consuming: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat as read."""

    heartbeat: Heartbeat
    age_s: float


class ControlLog(Protocol):
    """The append-only log whose last entry is what is in force. Methods raise `StoreAway`."""

    async def last(self) -> tuple[int, Snapshot] | None:
        """Number of the last entry and the state after it; None: the log is empty."""
        ...

    async def append(self, entry: LogEntry) -> None:
        """Append under compare-and-set.

        Raises:
            Clash: another entry took the place; read again and decide anew.
        """
        ...

    async def find(self, user: str, command_id: str) -> LogEntry | None:
        """The entry of a command; None: never decided."""
        ...

    async def history(self, limit: int, before: int | None) -> list[LogEntry]:
        """Entries, newest first; only those numbered below `before`."""
        ...

    async def state_at(self, version: int) -> Snapshot | None:
        """The state of a version; None: there was none."""
        ...

    async def known_good(self, for_s: float) -> Snapshot | None:
        """The last version but the present one that was in force for that long without an alarm.

        Not one that automation ended by going down, nor one under which it held for a reason.

        Args:
            for_s: seconds.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One decision, as appended. `after` differs from `before` only where the state changed."""

    number: int
    """Its place in the log: the last one read, plus one."""
    user: str
    command_id: str
    command: Mapping[str, object]
    verdict: str
    """`accepted` or `refused`."""
    before: Snapshot | None
    after: Snapshot
    reply: Mapping[str, object]
    """What was answered; a redelivered command gets it again."""
    evidence: Mapping[str, object]
    """What the decision was made on."""
    at: datetime | None = None
    """Set by the log on reading."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The evidence as the last tick left it. Shared by all monitors."""

    tick: int
    """Number of the tick: whoever writes the next one wins it."""
    at: datetime
    evidence: Evidence
    counted: Mapping[str, Mapping[str, int]]
    """What of recent slots was counted, by provider and slot: late writes count once, and do."""
    holding: str | None = None
    """Why automation holds, as of that tick."""
    topic: Topic | None = None
    """What that is about."""
    holds: Mapping[Topic, datetime] = field(default_factory=dict)
    """Holds that stand in the control log, and when each was seen last."""
    age_s: float = 0.0
    """As read: since it was written, by the store's clock."""


class Clash(Exception):  # noqa: N818 - a result of compare-and-set, not a failure
    """Another entry took the place in the control log."""


class Alerts(Protocol):
    """Where alerts go: told at once, recorded soon. Nobody waits for it, and it never fails."""

    def told(
        self,
        code: str,
        reason: str,
        *,
        severity: Severity = "info",
        suggested_command: str | None = None,
        evidence: dict[str, str] | None = None,
        ident: str | None = None,
    ) -> None:
        """Something happened; with an id, the same on every replica that tells it."""
        ...

    def raised(
        self,
        code: str,
        reason: str,
        *,
        severity: Severity = "critical",
        provider: str | None = None,
        suggested_command: str | None = None,
        evidence: dict[str, str] | None = None,
    ) -> None:
        """Something began; told once until `over`."""
        ...

    def over(self, code: str, reason: str, *, provider: str | None = None) -> None:
        """It ended; told only where it was raised."""
        ...


class AlertBook(Protocol):
    """Alerts of all replicas. Methods raise `StoreAway`."""

    async def record(self, what: Sighting, *, told: bool = False) -> None:
        """Put down what this replica saw begin, end or happen; `told`: people know already."""
        ...

    async def confirm(self, what: Sighting, *, told: bool = False) -> None:
        """Say that this replica still sees a trouble; opens it where nobody has."""
        ...

    async def close(self, alert: Alert, now: datetime) -> None:
        """End a trouble, unless somebody confirmed it since it was read."""
        ...

    async def recent(self) -> list[tuple[Alert, datetime]]:
        """What is open or was seen within a day, newest first, each with the server's time."""
        ...

    async def claim(self, alert: Alert, now: datetime) -> bool:
        """Take on what people are to be told of it; False: another replica did."""
        ...

    async def told(self, alert: Alert, kind: Kind) -> None:
        """People were told; ends the claim."""
        ...

    async def in_vain(self, alert: Alert, now: datetime, reached: tuple[str, ...]) -> None:
        """Not everybody could be told: to be tried again later; ends the claim."""
        ...

    async def acknowledge(self, ident: str, by: str, reason: str) -> None:
        """Note who has taken it on; the first one stands."""
        ...


class NotDelivered(Exception):  # noqa: N818 - a fact about the other side, not a failure of ours
    """A notice did not reach its recipient; the text holds no secret."""


class Post(Protocol):
    """Takes notices to people."""

    def problem(self, recipient: str) -> str | None:
        """Why this recipient cannot be reached with these settings; None: it can."""
        ...

    async def send(self, recipient: str, notice: Notice) -> None:
        """Send within a bounded time. Raises `NotDelivered`."""
        ...


class StoreAway(Exception):  # noqa: N818 - names the condition its catcher acts on
    """The store did not answer."""


class Replicas(Protocol):
    """Heartbeats of all worker processes. Methods raise `StoreAway`."""

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Write our heartbeat, stamped by the server."""
        ...

    async def live(self) -> int:
        """Replicas whose heartbeat is under 5 s old, by the server's clock; at least 1."""
        ...

    async def list(self) -> list[Beat]:
        """The live ones, with the age of their heartbeat."""
        ...

    async def leave(self, replica: str) -> None:
        """Remove our heartbeat at a clean end."""
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
    probe: bool = False
    """A validation message: counted apart."""


class Meter(Protocol):
    """Counts attempts; synchronous, never fails."""

    def attempt(self, measured: Measured) -> None:
        """Count one finished attempt."""
        ...

    def skipped(
        self, provider: str, *, eligible: bool, recipient_hash: str, probe: bool = False
    ) -> None:
        """Count a candidate passed over because its breaker is open."""
        ...

    def judged(
        self,
        provider: str,
        *,
        delivered: bool,
        eligible: bool,
        recipient_hash: str,
        reported: bool = True,
        probe: bool = False,
    ) -> None:
        """Count an accepted attempt judged at the delivery age.

        `reported`: a final report came; without one, delivery is as good as undelivered, but
        reports may be what is missing. `probe`: a validation message, counted apart.
        """
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
