"""Trouble of one provider costs the other's messages nothing, and a slow store moves none of them.

Handler, chooser and guards are real.

100 messages a second at 25 %, in virtual time: latencies are exact, and a minute takes a second.
What sleeps here says at which moment something happens.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from statistics import quantiles
from typing import TYPE_CHECKING

import pytest

from contracts.names import RETRY_TIERS, Queue
from tests.support.fakes import (
    KEY,
    Lanes,
    Meter,
    Publisher,
    Snapshots,
    Suppressed,
    incoming,
    snapshot,
)
from tests.support.virtual_time import LoopClock, run
from worker.domain.figures.tariff import Tariff
from worker.domain.messages.account import AccountHealth
from worker.domain.messages.consent import Senders
from worker.domain.messages.message import Lane
from worker.domain.messages.outcome import Accepted, Blame, NotSent, Outcome, Unknown
from worker.domain.migration.phases import Role
from worker.domain.migration.routing import bucket
from worker.handlers.choose import Chooser
from worker.handlers.decode import CommandDecoder
from worker.handlers.intents import Hybrid
from worker.handlers.message_events import Announcer
from worker.handlers.provider_call import ProviderCalls
from worker.handlers.round import PendingIntents
from worker.handlers.round_end import RoundEnds
from worker.handlers.send import SendHandler
from worker.handlers.settle import Settler
from worker.numbers import normaliser
from worker.providers.guard import ProviderGuard
from worker.settings.providers import ProviderSettings
from worker.store.memory import MemoryMessages, Shelf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.messages.message import Attempt, Lease, Message, Record
    from worker.domain.messages.sms import Sms
    from worker.ports.broker import Event, Incoming, Settlement

RATE, SHARE, IN_HAND = 100, 25, 96
BEFORE_S = 2.0
QUICK_S, DEADLINE_S = 0.05, 30.0
DONE = Accepted("pid")
LATE = Unknown("read_timeout", "silence")
PAUSE = NotSent(Blame.PROVIDER, "429", "asked to slow down", slow_down_s=60.0)
HANGS, SIX_SECONDS, PAUSES = (DEADLINE_S, LATE), (6.0, DONE), (QUICK_S, PAUSE)


@dataclass
class Scripted:
    """A provider that takes so long for one outcome."""

    id: str
    takes_s: float = QUICK_S
    outcome: Outcome = DONE
    calls: int = 0

    async def send(self, sms: Sms) -> Outcome:
        del sms
        self.calls += 1
        takes_s, outcome = self.takes_s, self.outcome
        await asyncio.sleep(takes_s)
        return outcome

    async def check(self) -> AccountHealth:
        return AccountHealth(ok=True, reason="in order")


class Store(MemoryMessages):
    """Records that may take long to begin."""

    takes_s = 0.0

    async def claim(self, message: Message, attempt: Attempt) -> Lease | Record:
        await asyncio.sleep(self.takes_s)
        return await super().claim(message, attempt)


class Broker(Publisher):
    """One lane with a bounded number in hand, and retry tiers that lead back to it."""

    def __init__(self) -> None:
        super().__init__()
        self.lane: asyncio.Queue[Incoming] = asyncio.Queue()
        self.sent_at: dict[str, float] = {}
        self.most_in_hand = 0
        self._in_hand: set[asyncio.Task[Settlement]] = set()

    async def park(self, incoming: Incoming, tier: str, headers: Mapping[str, object]) -> None:
        copy = replace(incoming, headers={**incoming.headers, **headers})
        asyncio.get_running_loop().call_later(RETRY_TIERS[tier], self.lane.put_nowait, copy)

    async def event(self, event: Event) -> None:
        if event.key == "sms.sent":
            self.sent_at[event.id] = asyncio.get_running_loop().time()
        await super().event(event)

    async def consume(self, send: SendHandler) -> None:
        places = asyncio.Semaphore(IN_HAND)
        while True:
            delivery = await self.lane.get()
            await places.acquire()
            task = asyncio.create_task(send(delivery))
            self._in_hand.add(task)
            self.most_in_hand = max(self.most_in_hand, len(self._in_hand))
            task.add_done_callback(self._in_hand.discard)
            task.add_done_callback(lambda _: places.release())


class Site:
    """A worker between the lane and two providers."""

    def __init__(self, queue: str, max_in_flight: int = 64) -> None:
        clock, shelf = LoopClock(), Shelf()
        self.queue, self.broker, self.meter = queue, Broker(), Meter()
        self.target, self.legacy = Scripted("at"), Scripted("old")
        self.guards = {
            role: ProviderGuard(
                provider,
                ProviderSettings.model_validate(
                    {"id": provider.id, "kind": "http", "preset": "kannel", "base_url": "http://h"}
                    | {"max_in_flight": max_in_flight}
                ),
                clock,
                lambda *_: None,
                lambda *_: None,
                in_hand=dict.fromkeys(Lane, IN_HAND),
            )
            for role, provider in ((Role.TARGET, self.target), (Role.LEGACY, self.legacy))
        }
        messages = self.store = Store(shelf, owner="ours", lease_s=48, clock=clock)
        snapshots, suppressed = Snapshots(snapshot(SHARE)), Suppressed()
        chooser = Chooser(
            self.guards, snapshots, suppressed, self.meter, clock, lambda: False, Senders({})
        )
        budget = {Lane.TRANSACTIONAL: 4, Lane.BULK: 12}
        hybrid = Hybrid(
            messages=messages,
            chooser=chooser,
            calls=ProviderCalls(chooser, self.meter, clock, Tariff({})),
            ends=RoundEnds(messages, self.guards, clock, budget),
            guards=self.guards,
            suppressions=suppressed,
            clock=clock,
            deadline_s=dict.fromkeys(Role, DEADLINE_S),
            pending_intents=PendingIntents(),
        )
        self.lanes = Lanes()
        decoder = CommandDecoder(
            normalise=normaliser("ZM", frozenset({"ZM"}), strict=True),
            key=KEY,
            life_s={Lane.TRANSACTIONAL: 600, Lane.BULK: 86_400},
            policy={},
        )
        announcer = Announcer(self.broker, messages)
        settler = Settler(decoder, messages, announcer, self.broker, clock)
        self.send = SendHandler(messages, hybrid, settler, self.lanes, clock)
        self.shelf = shelf

    async def flow(self, name: str, seconds: float) -> list[float]:
        """Seconds from publishing to `sms.sent` of legacy's messages, published meanwhile."""
        loop, began, wanted = asyncio.get_running_loop(), {}, set()
        for number in range(int(seconds * RATE)):
            ident, to = f"{name}-{number}", f"+26097{number + 1:07d}"
            self.broker.lane.put_nowait(incoming(ident, queue=self.queue, fields={"to": to}))
            began[ident] = loop.time()
            if bucket(to) >= SHARE:
                wanted.add(ident)
            await asyncio.sleep(1 / RATE)
        await asyncio.sleep(20)
        return [self._sent_at(ident) - began[ident] for ident in wanted]

    def _sent_at(self, ident: str) -> float:
        (event,) = (e for e in self.shelf[ident].record.events if e.name == "sms.sent")
        return self.broker.sent_at[event.event_id]


def p99(found: list[float]) -> float:
    return quantiles(found, n=100)[98]


async def measured(
    site: Site, trouble: tuple[float, Outcome], seconds: float
) -> tuple[float, float]:
    """The p99 of legacy's messages before and during the target's trouble."""
    consuming = asyncio.create_task(site.broker.consume(site.send))
    before = p99(await site.flow("before", BEFORE_S))
    site.target.takes_s, site.target.outcome = trouble
    during = p99(await site.flow("during", seconds))
    consuming.cancel()
    return before, during


@pytest.mark.parametrize(
    ("trouble", "queue", "seconds"),
    [
        (HANGS, Queue.TRANSACTIONAL, DEADLINE_S + 3),  # filling up, full, breaker open
        (HANGS, Queue.BULK, 8.0),
        (SIX_SECONDS, Queue.TRANSACTIONAL, 14.0),
        (PAUSES, Queue.TRANSACTIONAL, 5.0),
    ],
)
def test_messages_of_legacy_do_not_queue_behind_a_target_in_trouble(
    trouble: tuple[float, Outcome], queue: Queue, seconds: float
) -> None:
    async def scenario() -> tuple[float, float, Site]:
        site = Site(queue)
        return *await measured(site, trouble, seconds), site

    before, during, site = run(scenario())
    assert during < 2 * before
    assert site.broker.most_in_hand < IN_HAND
    assert not any(provider == "old" for provider, _ in site.meter.passed_over)


def test_a_target_that_may_be_called_without_end_still_leaves_room_for_legacy() -> None:
    async def scenario() -> tuple[float, float]:
        return await measured(Site(Queue.TRANSACTIONAL, max_in_flight=1000), HANGS, 8.0)

    before, during = run(scenario())
    assert during < 2 * before


def test_a_burst_at_two_sound_providers_goes_where_it_is_assigned() -> None:
    async def scenario() -> Site:
        site = Site(Queue.BULK, max_in_flight=16)
        consuming = asyncio.create_task(site.broker.consume(site.send))
        for number in range(800):
            to = f"+26097{number + 1:07d}"
            site.broker.lane.put_nowait(
                incoming(f"b-{number}", queue=site.queue, fields={"to": to})
            )
        await asyncio.sleep(60)
        consuming.cancel()
        return site

    site = run(scenario())
    assert len(site.broker.sent_at) == 800
    assert not any(measured.fallback for measured in site.meter.attempts)


def test_a_store_that_stalls_moves_no_message_to_the_other_provider() -> None:
    async def scenario() -> Site:
        site = Site(Queue.TRANSACTIONAL, max_in_flight=32)
        consuming = asyncio.create_task(site.broker.consume(site.send))
        site.store.takes_s = 3.0
        stalled = asyncio.create_task(site.flow("stalled", 4.0))
        await asyncio.sleep(4.0)
        site.store.takes_s = 0.0
        await stalled
        consuming.cancel()
        return site

    site = run(scenario())
    assert len(site.broker.sent_at) == 400
    assert not any(measured.fallback for measured in site.meter.attempts)
