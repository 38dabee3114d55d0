"""Stand-ins for the ports around the handlers, each driven by its test."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from worker.domain.figures.tariff import Tariff
from worker.domain.messages import consent, masking
from worker.domain.messages.consent import Listed, Senders, Wish
from worker.domain.messages.message import Lane, Message, OnUnknown, Recipient, State
from worker.domain.messages.outcome import Accepted, Outcome
from worker.domain.messages.transitions import TRANSITIONS, Write
from worker.domain.migration.flags import Flags
from worker.domain.migration.phases import Phase, Role
from worker.domain.migration.snapshot import Snapshot
from worker.handlers.choose import Chooser
from worker.handlers.intents import Hybrid
from worker.handlers.provider_call import ProviderCalls
from worker.handlers.round import PendingIntents
from worker.handlers.round_end import RoundEnds
from worker.ports.broker import Event, Incoming
from worker.ports.providers import BreakerState
from worker.store.memory import MemoryMessages, Shelf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from worker.domain.figures.tally import Measured
    from worker.domain.messages.message import Lease, Record, StoredEvent
    from worker.domain.messages.sms import Sms
    from worker.domain.messages.writes import Finished, TerminalWrite

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
        fingerprint=masking.fingerprint(KEY, NUMBER, text, None),
        recipient=masking.recipient(KEY, NUMBER),
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


class Suppressed:
    """The ports `Suppressions` and `SuppressionBook` in memory."""

    def __init__(self) -> None:
        self.wishes: dict[str, tuple[Wish, ...]] = {}
        self.masks: dict[str, str] = {}

    def stops(self, recipient_hash: str, senders: frozenset[str]) -> bool:
        unwanted = consent.stopped(self.wishes.get(recipient_hash, ()))
        return consent.stops(unwanted, senders)

    async def record(self, recipient: Recipient, wish: Wish) -> None:
        for hashed in recipient.hashes:
            standing = self.wishes.get(hashed, ())
            self.wishes[hashed] = consent.heard(standing, wish)
            self.masks[hashed] = recipient.mask

    async def put(self, recipient: Recipient, wish: Wish) -> None:
        await self.record(recipient, wish)

    async def read(self, recipient_hash: str) -> tuple[Wish, ...]:
        return self.wishes.get(recipient_hash, ())

    async def recent(self, limit: int) -> list[Listed]:
        newest = [*self.wishes.items()][::-1][:limit]
        return [Listed(Recipient(hashed, self.masks[hashed]), each) for hashed, each in newest]

    async def opt_out(self, recipient: Recipient, sender_id: str | None = None) -> None:
        sender = consent.sender(sender_id)
        await self.record(recipient, Wish(sender, stopped=True, at=EPOCH, source="test"))


class Meter:
    """Counts by provider id."""

    def __init__(self) -> None:
        self.attempts: list[Measured] = []
        self.begun: list[tuple[str, bool]] = []
        self.under_way: set[int] = set()
        self.passed_over: list[tuple[str, bool]] = []
        self.judgements: list[tuple[str, bool]] = []
        self.probes_passed_over: list[str] = []
        self.probes_judged: list[tuple[str, bool]] = []

    def began(self, provider: str, *, eligible: bool) -> int:
        self.begun.append((provider, eligible))
        self.under_way.add(len(self.begun))
        return len(self.begun)

    def abandoned(self, call: int) -> None:
        self.under_way.remove(call)

    def attempt(self, measured: Measured, call: int) -> None:
        self.under_way.remove(call)
        self.attempts.append(measured)

    def skipped(
        self, provider: str, *, eligible: bool, recipient_hash: str, lane: str, probe: bool = False
    ) -> None:
        del recipient_hash, lane
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
class Permit:
    guard: Guard
    held: bool = True

    def admit(self) -> bool:
        return self.guard.probes.pop(0) if self.guard.probes else True

    async def send(self, sms: Sms, *, refused: bool = False) -> tuple[Outcome, float]:
        self.guard.sent.append(sms)
        self.guard.refused_elsewhere.append(refused)
        if self.guard.during:
            await self.guard.during()
        outcome = self.guard.outcomes.pop(0) if self.guard.outcomes else Accepted("pid")
        return outcome, 12.5

    def release(self) -> None:
        if self.held:
            self.held = False
            self.guard.permits += 1


@dataclass
class Guard:
    """A provider behind its breaker and limiter, scripted."""

    provider_id: str
    outcomes: list[Outcome] = field(default_factory=list)
    sent: list[Sms] = field(default_factory=list)
    refused_elsewhere: list[bool] = field(default_factory=list)
    """Whether another provider had refused it, by call."""
    probes: list[bool] = field(default_factory=list)
    """Answers of `admit`, in turn; then True."""
    is_open: bool = False
    fault: str = ""
    due_in_s: float = 7.0
    busy_s: float = 0.0
    """As `busy_for` says."""
    full: bool = False
    """No permit comes free, however long one waits."""
    waits: int = 0
    """Callers that waited."""
    permits: int = 0
    """Released minus taken; 0 when nobody holds a permit."""
    waiting: Callable[[], Awaitable[None]] | None = None
    during: Callable[[], Awaitable[None]] | None = None

    @property
    def state(self) -> BreakerState:
        return BreakerState.OPEN if self.is_open else BreakerState.CLOSED

    def passable(self) -> bool:
        return not self.is_open

    def probe_due_in(self) -> float:
        return self.due_in_s if self.is_open else 0.0

    def busy_for(self, lane: Lane) -> float:
        del lane
        return self.busy_s

    def permit_now(self, lane: Lane) -> Permit | None:
        del lane
        if self.waiting or self.full:
            return None
        self.permits -= 1
        return Permit(self)

    async def permit(self, lane: Lane) -> Permit | None:
        del lane
        self.waits += 1
        if self.waiting:
            await self.waiting()
        if self.full:
            return None
        self.permits -= 1
        return Permit(self)

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


class Watched(MemoryMessages):
    """Records in memory that take no event but the one the table has for the transition."""

    async def close_new(self, closing: TerminalWrite) -> Record | None:
        _expect(None, Write.CLOSE_NEW, closing.state, closing.events)
        return await super().close_new(closing)

    async def settle(
        self,
        lease: Lease,
        state: State,
        finished: Finished,
        events: tuple[StoredEvent, ...],
        *,
        lane: Lane,
    ) -> Record | None:
        _expect(State.SUBMITTING, Write.SETTLE, state, events)
        return await super().settle(lease, state, finished, events, lane=lane)

    async def close(
        self, record: Record, state: State, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        _expect(State.WAITING, Write.CLOSE, state, events)
        return await super().close(record, state, events)

    async def declare_unknown(
        self, record: Record, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        _expect(State.SUBMITTING, Write.DECLARE_UNKNOWN, State.UNKNOWN, events)
        return await super().declare_unknown(record, events)


def _expect(start: State | None, write: Write, end: State, events: tuple[StoredEvent, ...]) -> None:
    expected = TRANSITIONS[start, write, end]
    assert [event.name for event in events] in ([], [expected]), f"{write} to {end}"


class Harness:
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
        self.pending_intents = PendingIntents()
        guards = {Role.TARGET: self.target, Role.LEGACY: self.legacy}
        chooser = Chooser(
            guards=guards,
            snapshots=self.snapshots,
            suppressions=self.suppressed,
            meter=self.meter,
            clock=self.clock,
            draining=lambda: self.draining,
            senders=Senders({"at": "BANK", "old": "OLDBANK"}),
        )
        budget = {Lane.TRANSACTIONAL: 2, Lane.BULK: 3}
        self.hybrid = Hybrid(
            messages=self.messages,
            chooser=chooser,
            calls=ProviderCalls(chooser, self.meter, self.clock, Tariff({})),
            ends=RoundEnds(self.messages, guards, self.clock, budget),
            guards=guards,
            suppressions=self.suppressed,
            clock=self.clock,
            deadline_s={Role.TARGET: self.DEADLINE_S, Role.LEGACY: self.DEADLINE_S},
            pending_intents=self.pending_intents,
        )

    def owned_by(self, owner: str) -> MemoryMessages:
        return Watched(self.shelf, owner=owner, lease_s=self.LEASE_S, clock=self.clock)

    def message(self, ident: str = "m-1", **changes: Any) -> Message:
        return message(self.clock, ident, **changes)

    def record(self, ident: str = "m-1") -> Any:
        return self.shelf[ident].record

    @property
    def idle(self) -> bool:
        """Nobody holds a permit at a provider, and no intent is counted as unsent."""
        permits = (self.target.permits, self.legacy.permits)
        return permits == (0, 0) and self.pending_intents.oldest() is None


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


def deaths(*newest_first: tuple[str, str]) -> dict[str, object]:
    """Headers as a broker writes them for deaths in these queues for these reasons."""
    first_queue, first_reason = newest_first[-1]
    return {
        "x-death": [
            {
                "count": 1,
                "reason": reason,
                "queue": queue,
                "time": EPOCH,
                "exchange": "sms.requeue",
                "routing-keys": [f"5s.{queue}"],
            }
            for queue, reason in newest_first
        ],
        "x-delivery-count": 0,
        "x-first-death-exchange": "sms.retry",
        "x-first-death-queue": first_queue,
        "x-first-death-reason": first_reason,
    }


def names(events: Iterable[Any]) -> list[str]:
    return [event.name for event in events]


async def quietly(work: Awaitable[Any]) -> None:
    """Await what the test cancelled."""
    with suppress(BaseException):
        await work


class StoreTroubles(list[str | None]):
    """What was told of the store: why it is away; None: it answers."""

    def away(self, reason: str) -> None:
        self.append(reason)

    def recovered(self) -> None:
        self.append(None)
