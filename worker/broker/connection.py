"""Keeps one AMQP connection open and reconnects when it is lost.

Rules:
- Each attempt tries every host of the address.
- We reconnect ourselves: the library's robust connection restores state that is better built anew.
- Consuming and publishing use separate connections. A broker in memory or disk alarm stops reading
  from a connection that publishes, so it would not see acknowledgements on it either.
- A blocked connection is a state of its own: nothing is lost and nothing fails, so no timeout runs
  while it lasts.
- A connection is used until it fails. The next one wakes every task that waits for it.
- The backoff has jitter, so that the replicas do not all return at the same moment.
- A broker that is away at the start is waited for. A login that it refuses, or a certificate that
  is not trusted, ends the process, because only a person can help.
- Options of an address that set heartbeats and the like are ignored.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import aio_pika
import structlog
from aio_pika.exceptions import AMQPError
from yarl import URL

from worker.broker import tolerant_decoding
from worker.broker.reason import passes, why
from worker.service import cancel_all, naming, once_there
from worker.settings.addresses import one_by_one, where

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from aio_pika.abc import AbstractChannel, AbstractConnection

    from worker.service import Background

HEARTBEAT_S: Final = 10
CONNECT_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 3.0
_HOST_TIMEOUT_S: Final = 3.0
"""Shortest time for one of several hosts, seconds."""
LOOK_EVERY_S: Final = 0.25
"""Seconds between looks at whether the broker blocks a connection: the library does not say."""
_BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
LOST: Final = (AMQPError, ConnectionError, OSError, TimeoutError, RuntimeError)
"""What the use of a dead connection or channel raises."""
BROKEN: Final = (*LOST, asyncio.CancelledError)
"""The same in our long-lived tasks: the library cancels the futures of a dead channel, which looks
like a cancellation of the task that waits for them."""
_OF_LOGIN: Final = frozenset(
    {"auth", "cafile", "capath", "cadata", "keyfile", "certfile", "no_verify_ssl"}
)
"""Options of an address that are used: those for the login. We set all others ourselves."""
_log = structlog.get_logger(__name__)


async def connect(
    url: str,
    name: str = "sms-worker",
    *,
    timeout_s: float = CONNECT_TIMEOUT_S,
    heartbeat_s: int = HEARTBEAT_S,
) -> AbstractConnection:
    """Open one connection, which stays closed once it is lost.

    The hosts of the address are tried in random order, so that the replicas spread over them.

    Args:
        url: `amqp://` or `amqps://`, with credentials and one or more hosts.
        name: shown in the broker's management views.
        timeout_s: for connecting, seconds; several hosts share it, down to `_HOST_TIMEOUT_S`.
        heartbeat_s: a dead peer is noticed after twice that.

    Raises:
        Exception: it cannot be opened (see `BROKEN`), at the host whose reason is the gravest;
            nothing is left open.
    """
    tolerant_decoding.install()
    hosts = one_by_one(url)
    each_s = max(timeout_s / len(hosts), min(timeout_s, _HOST_TIMEOUT_S))
    errors: list[BaseException] = []
    for host in random.sample(hosts, len(hosts)):
        try:
            return await _connect_to(URL(host), name, each_s, heartbeat_s)
        except BROKEN as error:
            reraise_own_cancel()
            errors.append(error)
            if len(hosts) > 1:
                _log.info("host not reached", link=name, host=where(host), reason=why(error))
    raise next((error for error in errors if not passes(error)), errors[-1])


async def _connect_to(
    address: URL, name: str, timeout_s: float, heartbeat_s: int
) -> AbstractConnection:
    options = {key: value for key, value in address.query.items() if key in _OF_LOGIN}
    connection = aio_pika.Connection(
        address.with_query({**options, "heartbeat": heartbeat_s}),
        client_properties={"connection_name": name},
    )
    try:
        await connection.connect(timeout=timeout_s)
    except BaseException:
        await connection.close()  # else it closes itself when the garbage collector finds it
        raise
    return connection


async def close(used: AbstractConnection | AbstractChannel) -> BaseException | None:
    """Close what was used, dead or alive, within `CLOSE_TIMEOUT_S`; return the error, if any.

    Raises:
        CancelledError: our own task was cancelled, not only a future of the library.
    """
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await used.close()
    except BROKEN as error:
        reraise_own_cancel()
        return error
    return None


class BrokerConnection:
    """Keeps one connection open.

    Args:
        url: `amqp://` or `amqps://`, with credentials and one or more hosts.
        name: shown in the broker's management views.
        background: runs the keeper; its death ends the process.
        heartbeat_s: a dead peer is noticed after twice that.
        opening: opens a connection, like `connect`.
    """

    def __init__(
        self,
        url: str,
        name: str,
        background: Background,
        *,
        heartbeat_s: int = HEARTBEAT_S,
        opening: Callable[..., Awaitable[AbstractConnection]] = connect,
    ) -> None:
        self._heartbeat_s = heartbeat_s
        self._opening = opening
        self._background = background
        self._url = url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._why_not = "not connected yet"
        self._up = asyncio.Event()
        self._closed = asyncio.Event()
        self._unblocked = asyncio.Event()
        self._unblocked.set()
        self._limits: dict[asyncio.Timeout, float] = {}
        self._told: list[Callable[[bool], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_up(self) -> bool:
        """Whether a connection is open right now."""
        return self._up.is_set()

    @property
    def problem(self) -> str:
        """Why no connection is open right now; empty: one is open."""
        return "" if self.is_up else self._why_not

    @property
    def is_blocked(self) -> bool:
        """Whether the broker reads nothing from this connection (memory or disk alarm)."""
        return not self._unblocked.is_set()

    def on_blocked(self, call: Callable[[bool], None]) -> None:
        """Register `call`: called with True when the broker blocks us, with False afterwards."""
        self._told.append(call)

    async def start(self) -> None:
        """Connect; waits as long as the broker is away.

        Raises:
            StartError: the broker refuses us, or we do not trust it.
        """
        await once_there(self._connect_first, lambda away: self._not_connected(away.__cause__))
        self._tasks = {
            self._background.spawn(self._keep(), self._name),
            self._background.spawn(self._watch_blocking(), f"{self._name}: blocked or not"),
        }

    async def drain(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Close the connection. Idempotent."""
        await cancel_all(self._tasks)
        self._tasks = set()
        await self._part()
        self._up.clear()

    async def channel(self, *, returns_raise: bool = True) -> AbstractChannel:
        """Open a channel with publisher confirms, waiting for a connection if there is none."""
        while True:
            await self._up.wait()
            connection = self._connection
            try:
                if connection is not None:
                    with naming_losses():
                        async with asyncio.timeout(CONNECT_TIMEOUT_S):
                            return await connection.channel(on_return_raises=returns_raise)
            except BROKEN as error:
                reraise_own_cancel()
                _log.warning("channel not opened", link=self._name, error=type(error).__name__)
            await asyncio.sleep(_BACKOFF_S[0])

    @asynccontextmanager
    async def patience(self, seconds: float) -> AsyncIterator[None]:
        """Like `asyncio.timeout`, but time while the broker blocks us does not count."""
        async with asyncio.timeout(None if self.is_blocked else seconds) as limit:
            self._limits[limit] = seconds
            try:
                yield
            finally:
                del self._limits[limit]

    async def unblocked(self) -> None:
        """Wait until the broker does not block us or the connection is lost."""
        await self._unblocked.wait()

    async def _watch_blocking(self) -> None:
        while True:
            await self._up.wait()
            await self._look_whether_blocked()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look_whether_blocked(self) -> None:
        """Report it if the broker blocks the present connection, and wait until that is over.

        It is over, too, when another connection has taken its place.
        """
        connection = self._connection
        if connection is None or connection.transport is None:
            return
        ready = asyncio.ensure_future(connection.transport.connection.ready())
        try:
            await asyncio.wait({ready}, timeout=LOOK_EVERY_S)
            while not ready.done() and self._connection is connection:
                self._block(blocked=True)
                await asyncio.wait({ready}, timeout=LOOK_EVERY_S)
        finally:
            ready.cancel()
            self._block(blocked=False)

    def _block(self, *, blocked: bool) -> None:
        if blocked is self.is_blocked:
            return
        _log.warning(
            "blocked by the broker" if blocked else "not blocked any more", link=self._name
        )
        if blocked:
            self._unblocked.clear()
        else:
            self._unblocked.set()
        now = asyncio.get_running_loop().time()
        for limit, seconds in self._limits.items():
            if not limit.expired():
                limit.reschedule(None if blocked else now + seconds)
        for call in self._told:
            call(blocked)

    async def _connect_first(self) -> None:
        with naming("AMQP_URL", f"broker at {where(self._url)}", why, passes):
            await self._connect()

    def _not_connected(self, error: BaseException | None) -> None:
        self._why_not = f"not connected: {why(error)}" if error else "not connected"
        _log.warning("not connected", link=self._name, reason=self._why_not)

    async def _connect(self) -> None:
        connection = await self._opening(self._url, self._name, heartbeat_s=self._heartbeat_s)
        connection.close_callbacks.add(lambda *_: self._lost(connection))
        if _is_dead(connection):  # it was lost before this: nobody will say so
            await close(connection)
            raise ConnectionResetError("lost as soon as it was open")
        self._closed.clear()
        self._connection = connection
        self._up.set()

    def _lost(self, connection: AbstractConnection) -> None:
        if connection is self._connection:  # else it was replaced already
            self._why_not = "connection lost"
            self._up.clear()
            self._closed.set()

    async def _keep(self) -> None:
        while True:
            await self._closed.wait()
            _log.warning("connection lost", link=self._name)
            await self._part()
            await self._reconnect()
            _log.info("connection restored", link=self._name)

    async def _part(self) -> None:
        """Close the connection, dead or alive, before the garbage collector does it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if (error := await close(connection)) is not None:
            _log.info("connection not closed", link=self._name, error=type(error).__name__)

    async def _reconnect(self) -> None:
        tries = 0
        while True:
            pause = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            tries += 1
            try:
                await self._connect()
            except BROKEN as error:
                reraise_own_cancel()
                self._not_connected(error)
            else:
                return


def _is_dead(connection: AbstractConnection) -> bool:
    """Whether the peer is gone; the library's own `is_closed` says only whether we closed it."""
    return connection.transport is None or connection.transport.connection.is_closed


@contextmanager
def naming_losses() -> Iterator[None]:
    """Turn a bare `Exception` of the library into one of `LOST`.

    aiormq raises plain `Exception` in a task that waits on a channel which was closed without a
    reason.
    """
    try:
        yield
    except Exception as error:
        if type(error) is Exception:
            raise ConnectionResetError("the channel is gone") from error
        raise


def reraise_own_cancel() -> None:
    """Inside `except BROKEN`: end the task if the task itself was cancelled."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
