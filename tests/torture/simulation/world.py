"""The world of one history: servers, providers, processes, and what its scenario does to them.

Rules: a step that befalls something notes the fault: what it hit, how long it could have an effect,
and which messages it could touch. Whatever ends is started again, as an operator's platform would.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from contracts import names
from tests.torture.judge.facts import Fault, OptOut
from tests.torture.simulation.broker.opening import open_connection
from tests.torture.simulation.callbacks import Callbacks
from tests.torture.simulation.clocks import MachineClock
from tests.torture.simulation.database.client import Client as DatabaseClient
from tests.torture.simulation.fates import KILLS, Fate
from tests.torture.simulation.outside import Outside
from tests.torture.simulation.parties import PROVIDERS, TARGET
from tests.torture.simulation.process import SimulatedProcess
from tests.torture.simulation.process_wire import ProcessWire
from tests.torture.simulation.providers import Account
from tests.torture.simulation.scenario import Hit

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.torture.simulation.broker.messages import Entry, Message
    from tests.torture.simulation.broker.queues import Queue
    from tests.torture.simulation.broker.server import Server as Broker
    from tests.torture.simulation.broker.sessions import Session
    from tests.torture.simulation.database.server import Server as Store
    from tests.torture.simulation.scenario import Scenario
    from tests.torture.simulation.wire import Wire
    from worker.settings.model import Settings


class Teller(Protocol):
    """Writes down what happens."""

    def did(self, world: World, who: str, name: str) -> None:
        """A server has just done what a process asked for, or told it something."""
        ...

    def befell(self, world: World, what: str) -> None:
        """A fault has just begun."""
        ...


BACK_AFTER_S: Final = 2.0
"""Time after which a process that died by a hit is started again."""


class World:
    """See the module. It is what the processes reach (`process.Servers`).

    Args:
        scenario: what is going to happen.
        cfg: the settings of every process.
        broker: a broker with the topology.
        store: a database with the indexes.
        store_clock: the clock of its machine.
        chance: how long things take.
        teller: writes down what happens; None: nobody does.
    """

    def __init__(
        self,
        scenario: Scenario,
        cfg: Settings,
        broker: Broker,
        store: Store,
        store_clock: MachineClock,
        *,
        chance: random.Random,
        teller: Teller | None = None,
    ) -> None:
        self.teller = teller
        self.scenario = scenario
        self.cfg = cfg
        self.watched = scenario.watched
        self.broker = broker
        self.store = store
        self.clock = MachineClock()
        self.store_clock = store_clock
        self.outside = Outside(broker, self.clock.seconds)
        self.callbacks = Callbacks(scenario.seed, self.outside, lambda: broker.is_up)
        self.accounts = {
            name: Account(name, name == TARGET, self.clock.seconds, taken=self.callbacks.about)
            for name in PROVIDERS
        }
        self.faults: list[Fault] = []
        self.broken_ends: list[str] = []
        self.opt_outs: list[OptOut] = []
        self.store_there = True
        self.processes: dict[int, SimulatedProcess] = {}
        self.ahead_s: dict[int, float] = {}
        self._chance = chance
        self._starts = 0
        for lane in (names.Queue.TRANSACTIONAL, names.Queue.BULK):
            queue = broker.queues[lane]
            queue.settings = replace(queue.settings, delivery_limit=scenario.delivery_limit)
        self._calls: dict[tuple[int, str], int] = {}
        self._hits = {
            (step.process, step.server, step.nth): step.fate
            for step in scenario.steps
            if isinstance(step, Hit)
        }
        self._loop = asyncio.get_running_loop()

    # --- processes ---------------------------------------------------------------------------

    def start(self, slot: int) -> None:
        """Start a process in a slot, if none runs there."""
        if slot in self.processes and not self.processes[slot].ended:
            return
        self._starts += 1
        name = f"process-{slot}-{self._starts}"
        made = SimulatedProcess(self, slot, name, self.ahead_s.get(slot, 0.0))
        self.processes[slot] = made
        made.start()

    def fate_of(self, slot: int, server: str, name: str) -> Fate | None:
        """See `Servers.fate_of`."""
        nth = self._calls.get((slot, server), 0)
        self._calls[slot, server] = nth + 1
        fate = self._hits.get((slot, server, nth)) if self._hits else None
        if fate is not None:
            where, in_hand = f"process {slot}", self.in_hand(slot)
            doubtful = fate in KILLS or (server != "broker" and fate is not Fate.SLOW)
            self.note(f"{name}: {fate}", where, messages=in_hand, doubtful=doubtful)
            if fate in KILLS:
                self._loop.call_later(BACK_AFTER_S, self.start, slot)
        return fate

    def did(self, process: SimulatedProcess, name: str) -> None:
        """See `Servers.did`."""
        if self.teller is not None:
            self.teller.did(self, process.replica, name)

    def killed(self, process: SimulatedProcess) -> None:
        """See `Servers.killed`."""
        for session in [*self.broker.sessions]:
            if _process_of(session) is process:
                self.broker.lose_connections(session.origin, told=False)

    def in_hand(self, slot: int | None = None) -> frozenset[str]:
        """Ids of the messages that a process, or any, has not settled, by broker or record."""
        replicas = {each.replica for s, each in self.processes.items() if slot in {None, s}}
        delivered = (
            str(entry.message.properties.message_id)
            for process, _, entry in self._unsettled()
            if process.replica in replicas
        )
        held = (
            document["_id"]
            for document in self.store.newest("sms.messages")
            if document.get("owner") in replicas and document["state"] == "submitting"
        )
        return frozenset((*delivered, *held))

    def _unsettled(self) -> Iterator[tuple[SimulatedProcess, Queue, Entry]]:
        for session in self.broker.sessions:
            process = _process_of(session)
            for channel in session.channels.values() if process is not None else ():
                for queue, _, entry in channel.unsettled.values():
                    yield process, queue, entry

    # --- what processes reach ----------------------------------------------------------------

    def wire(self, process: SimulatedProcess, server: str, *, ordered: bool = False) -> ProcessWire:
        """See `Servers.wire`."""
        there = {
            "database": lambda: self.store_there,
            "broker": lambda: self.broker.is_up,
            "provider": lambda: True,
        }[server]
        return ProcessWire(process, server, there, self._chance, ordered=ordered)

    def client(self, wire: Wire) -> Any:
        """See `Servers.client`."""
        return partial(DatabaseClient, self.store, wire)

    def opening(self, process: SimulatedProcess) -> Any:
        """See `Servers.opening`."""

        async def opened(url: str, name: str, *, heartbeat_s: int) -> Any:
            wire = self.wire(process, "broker", ordered=True)
            return await open_connection(self.broker, wire, url, name, heartbeat_s=heartbeat_s)

        return opened

    # --- what befalls them -------------------------------------------------------------------

    def must_have_ended(self, process: SimulatedProcess) -> None:
        """Note it if a process that was told to end still runs, and end it."""
        if not process.ended:
            self.broken_ends.append(f"{process.replica} could not be stopped")
            process.kill()

    def look_after(self) -> None:
        """Note which processes ended by an error, and start another one in their place."""
        for slot, process in self.processes.items():
            if process.failure is not None:
                self.broken_ends.append(f"{process.replica}: {process.failure!r}")
                process.failure = None
                self.start(slot)

    def set_ahead(self, machine: str, by_s: float) -> None:
        """Set the wall clock of a machine ahead of the true time."""
        if machine == "database":
            self.store_clock.ahead_s = by_s
            return
        slot = int(machine.removeprefix("process "))
        self.ahead_s[slot] = by_s
        if slot in self.processes:
            self.processes[slot].clock.ahead_s = by_s

    def cancel_consumers(self) -> None:
        """Let the broker cancel the consumers of both lanes, as it does when a queue moves."""
        for lane in (names.Queue.TRANSACTIONAL, names.Queue.BULK):
            for consumer in [*self.broker.queues[lane].consumers]:
                channel = consumer.channel
                channel.cancel(consumer.tag)
                channel.session.client.consumer_cancelled(channel.number, consumer.tag)

    def messages_in(self, queue: str) -> list[Message]:
        """What is in a queue: ready, or in somebody's hand."""
        found = self.broker.queues[queue]
        in_hand = [entry.message for _, of, entry in self._unsettled() if of is found]
        return [entry.message for entry in (*found.returned, *found.ready)] + in_hand

    # --- faults ------------------------------------------------------------------------------

    def note(
        self,
        kind: str,
        where: str,
        for_s: float | None = None,
        messages: frozenset[str] | None = None,
        *,
        doubtful: bool = True,
    ) -> None:
        """Note a fault: for a time, or, if it touched these messages, for ever."""
        now = self.clock.seconds()
        until = float("inf") if for_s is None else now + for_s
        self.faults.append(Fault(kind, now, until, where, messages, doubtful))
        if self.teller is not None:
            self.teller.befell(self, f"{where or 'everybody'}: {kind}")


def _process_of(session: Session) -> SimulatedProcess | None:
    """The process that a connection comes from; None: somebody outside."""
    return session.origin.process if isinstance(session.origin, ProcessWire) else None
