"""The facts that the judge decides by: journals and events, never what the worker says of itself.

Rules: all times are seconds since 1970 by one clock (the test's, or the simulation's). Whoever runs
a level (simulation, processes, servers) collects these and calls `judge.judge`. A fact that a level
cannot know stays empty, and the invariants that need it hold for lack of a case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Command:
    """A `SendSms` that the broker confirmed to its publisher."""

    id: str
    to: str
    """E.164."""
    lane: str
    """`transactional` or `bulk`."""
    resends: bool
    """Whether one resend is allowed after an attempt that may have been sent."""
    at: float
    expires_at: float
    valid: bool = True
    """Whether it can be sent at all; else it must be rejected."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a provider received, by the provider's journal."""

    message_id: str
    provider: str
    to: str
    at: float
    taken: bool
    """Whether the provider took the SMS; whatever became of its answer."""
    reference: str | None = None
    """The provider's message id."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event that a consumer got; copies of one event are listed each."""

    name: str
    message_id: str
    event_id: str
    at: float
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A letter in `sms.dead`."""

    message_id: str | None
    source: str
    reason: str | None
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class LastRecord:
    """A record when everything had come to rest."""

    message_id: str
    state: str
    events: tuple[str, ...]
    """Names of its stored events."""
    unconfirmed: int
    """Stored events that the broker has not confirmed."""
    attempts: tuple[tuple[str, str | None], ...] = ()
    """Provider and result of each attempt."""


@dataclass(frozen=True, slots=True)
class OptOut:
    """A recipient who wants no messages; `at`: when every replica had to know."""

    to: str
    at: float


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery report that the broker confirmed to the webhook."""

    provider: str
    reference: str
    message_id: str
    delivered: bool
    at: float = 0.0
    names_ours: bool = False
    """Whether it names our own id and attempt, rather than the provider's id."""
    genuine: bool = True
    """Whether its provider has the message."""


@dataclass(frozen=True, slots=True)
class Steered:
    """A control command that was published, and what was answered to it."""

    user: str
    command_id: str
    name: str
    at: float
    verdicts: tuple[str, ...] = ()
    """The verdict of every reply, in order, but for those that put it off."""
    put_off: bool = False
    """Whether a reply said that the store is away and that the same id is to be sent again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the control log, in order."""

    number: int
    version: int
    user: str
    command_id: str
    name: str
    verdict: str
    before: tuple[str, int] | None
    """Phase and percentage before; None: the first entry."""
    after: tuple[str, int]
    at: float


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was injected, and how long it could have an effect."""

    kind: str
    """Such as `kill`, `reply lost`, `provider hangs`."""
    at: float
    until: float
    where: str = ""
    """What it hit: a process, a server, a provider."""
    messages: frozenset[str] | None = None
    """Ids it can have touched; None: any."""
    doubtful: bool = True
    """Whether it can leave it open if a provider took a message. A broker that is away cannot: it
    has nothing to do with a call that is under way."""


@dataclass(slots=True)
class Facts:
    """All facts of one history."""

    commands: list[Command] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    records: list[LastRecord] = field(default_factory=list)
    queued: dict[str, list[str]] = field(default_factory=dict)
    """Message ids left in queues of commands and retries, by queue."""
    opt_outs: list[OptOut] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    steered: list[Steered] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    broken_ends: list[str] = field(default_factory=list)
    """Processes that ended by themselves, or did not end when they were told to; and why."""
    ended_at: float = 0.0
    """When everything had come to rest."""
    travel_s: float = 1.0
    """Longest time from a worker's last look at the clock to the provider's journal."""
    target: str = "africastalking"
    """Id of the provider that the traffic moves to."""
