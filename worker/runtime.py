"""How a process runs: what starts first, what holds the lanes back, what ends it.

Rules: services start in the order given, drain and stop in the reverse. A background task that dies
stops the process. The lanes stand still while the store is away, and everybody who meets the store
says so here.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from worker.broker.consumer import Consumer
    from worker.domain.message import Lane
    from worker.service import Background, Service
    from worker.telemetry.alerts import Alerts

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Process:
    """A built process: its services in start order."""

    services: tuple[Service, ...]
    background: Background

    async def run(self, stop: asyncio.Event) -> None:
        """Start, wait for `stop` or the death of a background task, drain, stop.

        Whatever fails, every service that began to start is drained and stopped; the first failure
        is raised at the end.
        """
        failures: list[BaseException] = []
        begun: list[Service] = []
        try:
            if await self._start(stop, begun):
                _spare_the_collector()
                _log.info("ready")
                await self._ended(stop)
        except Exception as error:  # noqa: BLE001 - raised below, once everything is put away
            failures.append(error)
        _log.info("draining")
        for verb in ("drain", "stop"):
            for service in reversed(begun):
                try:
                    await getattr(service, verb)()
                except Exception as error:  # noqa: BLE001 - as above
                    failures.append(error)
        await self.background.stop()
        _log.info("stopped")
        if failures:
            raise failures[0]

    async def _start(self, stop: asyncio.Event, begun: list[Service]) -> bool:
        """Start in order; `stop` (False) and a dying background task interrupt it."""
        for service in self.services:
            begun.append(service)
            starting = asyncio.ensure_future(service.start())
            ended = asyncio.ensure_future(self._ended(stop))
            await asyncio.wait({starting, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                ended.result()
                return False
            ended.cancel()
            starting.result()
        return True

    async def _ended(self, stop: asyncio.Event) -> None:
        """Wait for `stop`; raises what a background task died of."""
        failed = asyncio.ensure_future(self.background.failed())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({failed, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                raise failed.result()
        finally:
            failed.cancel()
            stopping.cancel()


class Together:
    """Services that start in order and drain at once: their grace does not add up."""

    def __init__(self, *services: Service) -> None:
        self._services = services

    async def start(self) -> None:
        """Start each in order."""
        for service in self._services:
            await service.start()

    async def drain(self) -> None:
        """Drain all at once."""
        await asyncio.gather(*(service.drain() for service in self._services))

    async def stop(self) -> None:
        """Stop each in the reverse order."""
        for service in reversed(self._services):
            await service.stop()


def _spare_the_collector() -> None:
    """What stands now lives until the end: the garbage collector need not look at it again.

    Records in flight are many and short-lived; with the default thresholds the collector would
    look through all of them several times a second and find next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


class Steps:
    """A service made of two functions: what has no life of its own between start and stop."""

    def __init__(
        self,
        *,
        start: Callable[[], Awaitable[None]] | None = None,
        stop: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._start = start
        self._stop = stop

    async def start(self) -> None:
        """Take the first step."""
        if self._start is not None:
            await self._start()

    async def drain(self) -> None:
        """Nothing is in flight."""

    async def stop(self) -> None:
        """Take the last step."""
        if self._stop is not None:
            await self._stop()


class Lanes:
    """Both lane consumers as one service (`ports.Lanes`): they start, pause and drain together."""

    def __init__(self) -> None:
        self.consumers: Mapping[Lane, Consumer] = {}
        self.draining = False

    def pause(self, lane: Lane, seconds: float) -> None:
        """See `ports.Lanes.pause`."""
        self.consumers[lane].pause("breakers", seconds)

    def hold(self, who: str) -> None:
        """Take nothing new on any lane."""
        for consumer in self.consumers.values():
            consumer.hold(who)

    def free(self, who: str) -> None:
        """Undo `hold`."""
        for consumer in self.consumers.values():
            consumer.free(who)

    @property
    def in_hand(self) -> int:
        """Deliveries not settled yet."""
        return sum(consumer.in_hand for consumer in self.consumers.values())

    @property
    def consuming(self) -> bool:
        """Whether the broker delivers on every lane now."""
        return all(consumer.consuming for consumer in self.consumers.values())

    def checks(self) -> Mapping[str, Callable[[], tuple[bool, str]]]:
        """Readiness by lane."""
        return {str(lane): _check(consumer) for lane, consumer in self.consumers.items()}

    async def start(self) -> None:
        """Consume on both lanes."""
        for consumer in self.consumers.values():
            await consumer.start()

    async def drain(self) -> None:
        """Begin nothing new; both lanes drain at once."""
        self.draining = True
        await asyncio.gather(*(consumer.drain() for consumer in self.consumers.values()))

    async def stop(self) -> None:
        """Let go of both."""
        for consumer in self.consumers.values():
            await consumer.stop()


def _check(consumer: Consumer) -> Callable[[], tuple[bool, str]]:
    def check() -> tuple[bool, str]:
        held = consumer.held_by
        if held == {"breakers"}:
            return True, "paused: every breaker is open"
        if held and not consumer.consuming:
            return False, f"held back: {', '.join(sorted(held))}"
        if held:
            return False, "not held back yet: the broker still delivers"
        return consumer.consuming, "consuming" if consumer.consuming else "not consuming"

    return check


class StoreHealth:
    """What everybody who meets the store says of it.

    Args:
        lanes: held back while it is away.
        alerts: told when it goes and comes.
    """

    def __init__(self, lanes: Lanes, alerts: Alerts) -> None:
        self._lanes = lanes
        self._alerts = alerts
        self._on_return: list[Callable[[], None]] = []
        self._away: str | None = None

    def on_return(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever the store is back."""
        self._on_return.append(call)

    def met(self, reason: str | None) -> None:
        """None: it answered; else why it did not."""
        if reason is not None and self._away is None:
            self._away = reason
            self._lanes.hold("store")
            self._alerts.raised("store", f"the store is away ({reason}): nothing is sent")
        elif reason is None and self._away is not None:
            self._away = None
            self._lanes.free("store")
            self._alerts.over("store", "the store is back")
            for call in self._on_return:
                call()

    def check(self) -> tuple[bool, str]:
        """Readiness."""
        return self._away is None, self._away or "reachable"
