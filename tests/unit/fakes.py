"""Stand-ins for the ports around the handlers, each driven by its test."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from worker.domain import recipient
from worker.domain.flags import Flags, Snapshot
from worker.domain.message import Lane, Message, OnUnknown
from worker.domain.outcome import Accepted, Outcome
from worker.domain.phases import Phase, Role
from worker.handlers.choose import Chooser
from worker.handlers.hybrid import Hybrid
from worker.handlers.round import Unsent
from worker.ports import BreakerState, Event, Incoming, Sms
from worker.store.memory import MemoryMessages, Shelf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from worker.domain.outcome import Money
    from worker.ports import Measured

KEY = b"a key for tests"
NUMBER = "+260977123456"
EPOCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


class HandClock:
    """Time that moves when told; wall and monotonic together."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


def message(clock: HandClock, ident: str = "m-1", **changes: Any) -> Message:
    text = changes.get("text", "Your code is 1234")
    made = Message(
        id=ident,
        to=NUMBER,
        text=text,
        fingerprint=recipient.fingerprint(KEY, NUMBER, text, None),
        recipient=recipient.recipient(KEY, NUMBER),
        lane=Lane.TRANSACTIONAL,
        on_unknown=OnUnknown.RESEND,
        expires_at=clock.now() + timedelta(minutes=10),
    )
    return replace(made, **changes)


BULK = {"lane": Lane.BULK, "on_unknown": OnUnknown.HOLD}


def snapshot(
    percentage: int = 100,
    phase: Phase = Phase.GRADUAL_MIGRATION,
    version: int = 1,
    **flags: Any,
) -> Snapshot:
    return Snapshot(version, "lineage", phase, percentage, Flags(**flags))


class Snapshots:
    """What is in force, as the test says."""

    def __init__(self, current: Snapshot) -> None:
        self.current: Snapshot | None = current
        self.stale = False

    def is_fresh(self) -> bool:
        return not self.stale

    async def fresh(self) -> Snapshot:
        assert self.current is not None
        self.stale = False
        return self.current


class Suppressed(set[str]):
    async def add(self, recipient_hash: str, source: str) -> None:  # type: ignore[override]
        del source
        super().add(recipient_hash)


class Meter:
    """Counts by provider id."""

    def __init__(self) -> None:
        self.attempts: list[Measured] = []
        self.passed_over: list[tuple[str, bool]] = []
        self.judgements: list[tuple[str, bool]] = []
        self.probes_passed_over: list[str] = []
        self.probes_judged: list[tuple[str, bool]] = []

    def attempt(self, measured: Measured) -> None:
        self.attempts.append(measured)

    def skipped(
        self, provider: str, *, eligible: bool, recipient_hash: str, probe: bool = False
    ) -> None:
        del recipient_hash
        if probe:
            self.probes_passed_over.append(provider)
        else:
            self.passed_over.append((provider, eligible))

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
        del eligible, recipient_hash, reported
        (self.probes_judged if probe else self.judgements).append((provider, delivered))


@dataclass
class Slot:
    guard: Guard
    held: bool = True

    def admit(self) -> bool:
        return self.guard.probes.pop(0) if self.guard.probes else True

    async def send(self, sms: Sms) -> tuple[Outcome, float]:
        self.guard.sent.append(sms)
        if self.guard.during:
            await self.guard.during()
        outcome = self.guard.outcomes.pop(0) if self.guard.outcomes else Accepted("pid")
        return outcome, 12.5

    def release(self) -> None:
        if self.held:
            self.held = False
            self.guard.places += 1


@dataclass
class Guard:
    """A provider behind its breaker and limiter, scripted."""

    provider_id: str
    outcomes: list[Outcome] = field(default_factory=list)
    sent: list[Sms] = field(default_factory=list)
    probes: list[bool] = field(default_factory=list)
    """Answers of `admit`, in turn; then True."""
    is_open: bool = False
    fault: str = ""
    due_in_s: float = 7.0
    places: int = 0
    """Released minus taken; 0 when nobody holds a place."""
    waiting: Callable[[], Awaitable[None]] | None = None
    during: Callable[[], Awaitable[None]] | None = None

    @property
    def state(self) -> BreakerState:
        return BreakerState.OPEN if self.is_open else BreakerState.CLOSED

    def passable(self) -> bool:
        return not self.is_open

    def probe_due_in(self) -> float:
        return self.due_in_s if self.is_open else 0.0

    async def slot(self, lane: Lane) -> Slot:
        del lane
        if self.waiting:
            await self.waiting()
        self.places -= 1
        return Slot(self)

    def share_between(self, replicas: int) -> None:
        self.replicas = replicas


class Publisher:
    """Keeps what is published, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.parked: list[tuple[str, Mapping[str, object]]] = []
        self.dead_letters: list[tuple[str, Mapping[str, object]]] = []
        self.order: list[str] = []
        self.failure: Exception | None = None

    async def event(self, event: Event) -> None:
        self._fail()
        self.events.append(event)
        self.order.append(event.key)

    async def park(self, incoming: Incoming, tier: str, headers: Mapping[str, object]) -> None:
        self._fail()
        self.parked.append((tier, {**incoming.headers, **headers}))
        self.order.append(f"park {tier}")

    async def dead(self, incoming: Incoming, reason: str, headers: Mapping[str, object]) -> None:
        del incoming
        self._fail()
        self.dead_letters.append((reason, headers))
        self.order.append("dead")

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    @property
    def names(self) -> list[str]:
        return [event.key for event in self.events]

    def body(self, index: int = -1) -> dict[str, Any]:
        return json.loads(self.events[index].body)


class Lanes:
    def __init__(self) -> None:
        self.pauses: list[tuple[Lane, float]] = []

    def pause(self, lane: Lane, seconds: float) -> None:
        self.pauses.append((lane, seconds))


def no_price(provider: str, to: str, segments: int) -> Money | None:
    del provider, to, segments
    return None


class Bench:
    """A `Hybrid` between scripted providers and records in memory."""

    LEASE_S = 60.0
    DEADLINE_S = 30.0

    def __init__(self, percentage: int = 100, shelf: Shelf | None = None) -> None:
        self.clock = HandClock()
        self.shelf: Shelf = {} if shelf is None else shelf
        self.messages = self.owned_by("ours")
        self.target, self.legacy = Guard("at"), Guard("old")
        self.snapshots = Snapshots(snapshot(percentage))
        self.suppressed = Suppressed()
        self.meter = Meter()
        self.draining = False
        self.unsent = Unsent()
        chooser = Chooser(
            guards={Role.TARGET: self.target, Role.LEGACY: self.legacy},
            snapshots=self.snapshots,
            suppressions=self.suppressed,
            meter=self.meter,
            clock=self.clock,
            draining=lambda: self.draining,
        )
        self.hybrid = Hybrid(
            messages=self.messages,
            chooser=chooser,
            guards={Role.TARGET: self.target, Role.LEGACY: self.legacy},
            suppressions=self.suppressed,
            meter=self.meter,
            clock=self.clock,
            deadline_s={Role.TARGET: self.DEADLINE_S, Role.LEGACY: self.DEADLINE_S},
            budget={Lane.TRANSACTIONAL: 2, Lane.BULK: 3},
            price=no_price,
            unsent=self.unsent,
        )

    def owned_by(self, owner: str) -> MemoryMessages:
        return MemoryMessages(self.shelf, owner=owner, lease_s=self.LEASE_S, clock=self.clock)

    def message(self, ident: str = "m-1", **changes: Any) -> Message:
        return message(self.clock, ident, **changes)

    def record(self, ident: str = "m-1") -> Any:
        return self.shelf[ident].record

    @property
    def idle(self) -> bool:
        """Nobody holds a place at a provider, and no intent is counted as unsent."""
        places = (self.target.places, self.legacy.places)
        return places == (0, 0) and self.unsent.oldest() is None


def incoming(ident: str = "m-1", **changes: Any) -> Incoming:
    body = {"messageId": ident, "to": "0977123456", "text": "Your code is 1234"}
    body |= changes.pop("fields", {})
    made = Incoming(
        queue="sms.send.transactional",
        body=json.dumps(body).encode(),
        redelivered=False,
        headers={},
        message_id=ident,
    )
    return replace(made, **changes)


def names(events: Iterable[Any]) -> list[str]:
    return [event.name for event in events]


async def quietly(work: Awaitable[Any]) -> None:
    """Await what the test cancelled."""
    with suppress(BaseException):
        await work
