"""A simulated worker process: the real worker between simulated edges.

Rules: the whole worker is built as in production, and its own services run it: every handler, store
and loop is the real one. Left out is what has no part in a message's life: health server, traces,
figures for dashboards, notices. A killed process does nothing more: its tasks are cancelled, and
nothing that they still do reaches a server.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Protocol

from tests.torture.simulation.clocks import MachineClock
from tests.torture.simulation.providers import SimulatedProvider
from tests.torture.simulation.virtual import OWNER
from worker.app.edges import Edges
from worker.app.services import Worker
from worker.app.start_and_stop import DrainTogether, Process
from worker.broker.connection import BrokerConnection
from worker.broker.consumer import Consumer
from worker.broker.publisher import AmqpPublisher
from worker.broker.wakeups import Wakeups
from worker.control.snapshot_follower import SnapshotFollower
from worker.handlers.sweep import Sweeper
from worker.monitoring.monitor import Monitor
from worker.service import LeftUndoneError
from worker.store.client import Database
from worker.store.messages import MessageStore
from worker.telemetry.publisher import MetricsPublisher

if TYPE_CHECKING:
    from tests.torture.simulation.fates import Fate
    from tests.torture.simulation.process_wire import ProcessWire
    from tests.torture.simulation.providers import Account
    from tests.torture.simulation.wire import Wire
    from worker.ports.providers import Provider
    from worker.service import Background, Service
    from worker.settings.model import Settings
    from worker.settings.providers import ProviderSettings

KEPT = (
    BrokerConnection,
    AmqpPublisher,
    MessageStore,
    SnapshotFollower,
    Wakeups,
    Consumer,
    Sweeper,
    DrainTogether,
)
"""The services that a message's, a command's or a report's life needs."""
WATCHING = (MetricsPublisher, Monitor)
"""Those by which automation watches the outcomes."""


class Servers(Protocol):
    """What a process can reach."""

    cfg: Settings
    accounts: dict[str, Account]
    watched: bool
    """Whether automation watches."""

    def client(self, wire: Wire) -> Any:
        """Makes the driver's client of the database, as `Database` takes it."""
        ...

    def opening(self, process: SimulatedProcess) -> Any:
        """Opens connections to the broker, as `BrokerConnection` takes it."""
        ...

    def wire(self, process: SimulatedProcess, server: str, *, ordered: bool = False) -> ProcessWire:
        """Makes a wire to one of them."""
        ...

    def fate_of(self, slot: int, server: str, name: str) -> Fate | None:
        """Count a call of the processes in a slot; returns what is to become of it."""
        ...

    def did(self, process: SimulatedProcess, name: str) -> None:
        """Know of a call that a server has just carried out."""
        ...

    def killed(self, process: SimulatedProcess) -> None:
        """Close what the operating system closes when a process dies."""
        ...


class SimulatedProcess:
    """One worker process.

    Args:
        servers: what it can reach.
        slot: its place; another process takes it when this one has ended.
        replica: its id.
        ahead_s: by how much the wall clock of its machine is ahead.
    """

    def __init__(self, servers: Servers, slot: int, replica: str, ahead_s: float) -> None:
        self.slot = slot
        self.replica = replica
        self.alive = True
        self.paused_until = 0.0
        self.clock = MachineClock(booted=1000.0 * (slot + 1))
        self.clock.ahead_s = ahead_s
        self.failure: BaseException | None = None
        """What it ended with; None: it ended in order, or was killed."""
        self._servers = servers
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stop = asyncio.Event()
        self._run: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it; it runs until it is drained or killed."""
        context = contextvars.copy_context()
        context.run(OWNER.set, self._tasks)
        loop = asyncio.get_running_loop()
        self._run = loop.create_task(self._live(), context=context)

    async def _live(self) -> None:
        try:
            worker = Worker(self._servers.cfg, self.replica, self._edges())
            services = _kept(worker.services(), watched=self._servers.watched)
            await Process(services, worker.runtime.background).run(self._stop)
        except LeftUndoneError:
            pass  # it was told to end, and says what it left: that is an orderly end
        except Exception as error:  # noqa: BLE001 - judged by the world
            self.failure = error

    def _edges(self) -> Edges:
        servers = self._servers
        client = servers.client(servers.wire(self, "database"))
        opening = servers.opening(self)

        def link(name: str, background: Background, heartbeat_s: int) -> BrokerConnection:
            url = "amqp://worker:secret@broker/"
            return BrokerConnection(url, name, background, heartbeat_s=heartbeat_s, opening=opening)

        def database(timeout_s: float) -> Database:
            return Database("mongodb://database/", "sms", timeout_s=timeout_s, client=client)

        return Edges(self.clock, link, database, self._provider)

    def _provider(self, settings: ProviderSettings) -> Provider:
        wire = self._servers.wire(self, "provider")
        account = self._servers.accounts[settings.id]
        return SimulatedProvider(account, wire, settings.deadline_s)

    def drain(self) -> None:
        """Tell it to end, as SIGTERM does."""
        self._stop.set()

    @property
    def ended(self) -> bool:
        """Whether it does nothing more."""
        return not self.alive or self._run is None or self._run.done()

    def kill(self) -> None:
        """See `Caller.kill`."""
        if not self.alive:
            return
        self.alive = False
        self._servers.killed(self)
        for task in sorted(self._tasks, key=hash):
            task.cancel()

    def fate_of(self, server: str, name: str) -> Fate | None:
        """See `Caller.fate_of`."""
        return self._servers.fate_of(self.slot, server, name)

    def did(self, name: str) -> None:
        """See `Caller.did`."""
        self._servers.did(self, name)


def _kept(services: tuple[Service, ...], *, watched: bool) -> tuple[Service, ...]:
    """The services that are run; the first that drain together are traces and metrics."""
    kept = (*KEPT, *WATCHING) if watched else KEPT
    metrics = next(each for each in services if isinstance(each, DrainTogether))
    return tuple(each for each in services if isinstance(each, kept) and each is not metrics)
