"""Starts the services of a process, waits for its end, drains and stops them.

Rules: services start in the given order and drain and stop in the reverse order. The end is
SIGTERM, SIGINT or the death of a background task. From then on the time of a process is bounded,
whatever its servers do. Its last log line, `stopped`, names what is left undone.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from worker.service import LeftUndoneError, cancel_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from worker.service import Background, Service

_log = structlog.get_logger(__name__)


CLOSING_S: Final = 30.0
"""Seconds that the end of a process may take beyond its grace."""


@dataclass(frozen=True, slots=True)
class Process:
    """A built process.

    Args:
        services: in start order.
        background: runs their tasks, and knows what they must not leave undone.
        end_within_s: longest time for drain and stop. Then they are cut off.
    """

    services: tuple[Service, ...]
    background: Background
    end_within_s: float = CLOSING_S

    async def run(self, stop: asyncio.Event) -> None:
        """Start, wait for `stop` or the death of a background task, drain, stop.

        If anything fails, every service that began to start is still drained and stopped. The
        first failure is raised at the end.

        Raises:
            LeftUndoneError: nothing failed, but something is left undone.
        """
        failures: list[BaseException] = []
        begun: list[Service] = []
        try:
            for service in self.services:
                begun.append(service)
                if not await self._started(service, stop):
                    break
            else:
                _spare_the_collector()
                _log.info("ready")
                await self._ended(stop)
        except Exception as error:  # noqa: BLE001 - raised below, after everything is stopped
            failures.append(error)
        _log.info("draining")
        try:
            async with asyncio.timeout(self.end_within_s):
                await _put_away(begun, failures)
                await self.background.stop()
        except TimeoutError:
            _log.warning("the end takes too long: cut off", after_s=self.end_within_s)
        left = self.background.left()
        _log.log(logging.WARNING if left else logging.INFO, "stopped", left=left)
        if failures:
            raise failures[0]
        if left:
            raise LeftUndoneError(", ".join(left))

    async def run_until_signal(self) -> None:
        """Run until SIGTERM or SIGINT; see `run`."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self.run(stop)

    async def _started(self, service: Service, stop: asyncio.Event) -> bool:
        """Start one service; returns False if `stop` interrupted it.

        Raises what the service or a background task died of.
        """
        starting = asyncio.ensure_future(service.start())
        ended = asyncio.ensure_future(self._ended(stop))
        await asyncio.wait({starting, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            await cancel_all([starting])
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


async def _put_away(begun: Sequence[Service], failures: list[BaseException]) -> None:
    """Drain all services, then stop all; what fails is added to `failures`."""
    for verb in ("drain", "stop"):
        for service in reversed(begun):
            try:
                await getattr(service, verb)()
            except Exception as error:  # noqa: BLE001 - raised when everything is stopped
                failures.append(error)


class DrainTogether:
    """Services that start in order and drain together, so their grace times do not add up."""

    def __init__(self, *services: Service) -> None:
        self._services = services

    async def start(self) -> None:
        """Start each in order."""
        for service in self._services:
            await service.start()

    async def drain(self) -> None:
        """Drain all at the same time."""
        await asyncio.gather(*(service.drain() for service in self._services))

    async def stop(self) -> None:
        """Stop each in the reverse order."""
        for service in reversed(self._services):
            await service.stop()


def _spare_the_collector() -> None:
    """Make the garbage collector skip all present objects, because they live until the end.

    It also runs less often than by default: it would scan the many short-lived records in flight
    several times a second and free almost nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


class Resource:
    """A service that only opens and closes something, with nothing to drain in between."""

    def __init__(
        self,
        *,
        open: Callable[[], Awaitable[None]] | None = None,  # noqa: A002 - the pair of `close`
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._open = open
        self._close = close

    async def start(self) -> None:
        """Open it."""
        if self._open is not None:
            await self._open()

    async def drain(self) -> None:
        """Nothing is in flight."""

    async def stop(self) -> None:
        """Close it."""
        if self._close is not None:
            await self._close()
