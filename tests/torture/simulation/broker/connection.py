"""The client's side of a connection: what `BrokerConnection` and aio-pika's channels use of one.

Rules, as TCP and the client library keep them:
- The order is kept in both directions. A request that reaches the broker brings along what was sent
  before it on the same connection; a reply brings along what the broker said before it.
- When the connection is lost, everything that waits for a reply gets the error at once; whether it
  was applied is not known.
- A request that is given up may still be applied.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

from tests.torture.simulation.broker.callbacks import Callbacks
from tests.torture.simulation.broker.client_channel import Channel
from tests.torture.simulation.wire import Lost
from worker.broker.connection import CONNECT_TIMEOUT_S, HEARTBEAT_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker.channels import Session
    from tests.torture.simulation.broker.client_channel import InnerChannel
    from tests.torture.simulation.broker.messages import Delivery
    from tests.torture.simulation.broker.server import Server
    from tests.torture.simulation.wire import Wire

T = TypeVar("T")
_HEARTBEATS: Final = 2
"""Heartbeats that a peer may miss before it counts as dead."""


async def open_connection(
    server: Server,
    wire: Wire,
    url: str,
    name: str = "sms-worker",
    *,
    timeout_s: float = CONNECT_TIMEOUT_S,
    heartbeat_s: int = HEARTBEAT_S,
) -> Connection:
    """Open a connection, as `worker.broker.connection.connect` does.

    Args:
        server: the broker.
        wire: between this process and the broker.
        url: only its user counts.
        name: of the connection.
        timeout_s: for connecting, seconds.
        heartbeat_s: a dead peer is noticed after twice that.
    """
    del name
    user = unquote(urlsplit(url).username or "")
    connection = Connection(wire, _HEARTBEATS * heartbeat_s)
    try:
        await wire.call("broker.open", partial(connection.attach, server, user), within_s=timeout_s)
    except Lost as lost:
        raise TimeoutError("the broker does not answer") from lost
    return connection


class Request:
    """What a process asked the broker on one connection."""

    __slots__ = ("_apply", "_connection", "_error", "_is_done", "_reply", "fault", "heard", "task")

    def __init__(self, connection: Connection, apply: Callable[[], Any]) -> None:
        self._connection = connection
        self._apply = apply
        self._is_done = False
        self._reply: Any = None
        self._error: Exception | None = None
        self.task = asyncio.current_task()
        self.fault: BaseException | None = None
        """Why nobody waits for the reply any more."""
        self.heard = 0
        """How much the broker had said by itself before it replied."""

    def reach(self) -> Any:
        """Reach the broker, after everything that was sent before; returns or raises the reply."""
        if not self._is_done:
            self._connection.bring(self)
        if self._error is not None:
            raise self._error
        return self._reply

    def apply(self) -> None:
        """Have the broker do it."""
        self._is_done = True
        try:
            self._reply = self._apply()
        except Exception as error:  # noqa: BLE001 - what it raises is the reply
            self._error = error
        self.heard = self._connection.said


class Connection:
    """A connection to the simulated broker.

    Args:
        wire: between this process and the broker.
        patience_s: seconds without a reply after which the connection counts as lost.
    """

    def __init__(self, wire: Wire, patience_s: float) -> None:
        self.close_callbacks = Callbacks(self)
        self.transport = Transport()
        self.channels: dict[int, InnerChannel] = {}
        self.said = 0
        """How much the broker said by itself."""
        self.session: Session | None = None
        self._wire = wire
        self._patience_s = patience_s
        self._fault: BaseException | None = None
        self._sent: deque[Request] = deque()
        self._waiting: dict[Request, InnerChannel | None] = {}
        self._sending: dict[asyncio.Task[None], None] = {}
        self._coming: deque[tuple[int, Callable[[], None]]] = deque()
        self._numbers = 0

    def attach(self, server: Server, user: str) -> None:
        """Have the broker open its side."""
        self.session = server.open(user, self)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed or lost."""
        return self._fault is not None

    def channel(self, *, on_return_raises: bool = False) -> Channel:
        """Return a channel to be awaited or entered."""
        return Channel(self, on_return_raises=on_return_raises)

    async def close(self) -> None:
        """Close it. Idempotent."""
        self.end(ConnectionResetError("the connection was closed"))

    async def __aenter__(self) -> Self:
        """Enter it as a context, which closes it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    def next_number(self) -> int:
        """Return a number for a new channel."""
        self._numbers += 1
        return self._numbers

    # --- to the broker ----------------------------------------------------------------------

    async def call(
        self, name: str, apply: Callable[[], T], channel: InnerChannel | None = None
    ) -> T:
        """Send a request and wait for the reply.

        Raises:
            ConnectionError: the connection is lost.
            BaseException: the channel was closed meanwhile, with this reason.
        """
        if self._fault is not None:
            raise ConnectionResetError("the connection is lost") from self._fault
        request = Request(self, apply)
        self._sent.append(request)
        self._waiting[request] = channel
        cancels = request.task.cancelling()
        try:
            reply = await self._wire.call(
                f"broker.{name}", request.reach, within_s=self._patience_s
            )
        except Lost as lost:
            del self._waiting[request]
            self.end(ConnectionResetError("the broker does not answer"))
            raise ConnectionResetError("the broker does not answer") from lost
        except asyncio.CancelledError:
            if request.fault is not None and request.task.uncancel() <= cancels:
                raise request.fault from None
            raise
        finally:
            self._waiting.pop(request, None)
        self._hear(request.heard)
        return reply

    def send(self, name: str, apply: Callable[[], object]) -> None:
        """Send a request whose reply nobody waits for."""

        async def sending() -> None:
            with suppress(Exception):
                await self.call(name, apply)

        task = asyncio.get_running_loop().create_task(sending())
        self._sending[task] = None
        task.add_done_callback(self._sending.pop)

    def bring(self, last: Request) -> None:
        """Have the broker read what was sent, up to a request."""
        while self._sent:
            request = self._sent.popleft()
            request.apply()
            if request is last:
                return

    def interrupt(self, fault: BaseException, channel: InnerChannel | None = None) -> None:
        """Give an error to all that wait for a reply, or to those of one channel."""
        current = asyncio.current_task()
        for request, on in self._waiting.items():
            if channel in {None, on} and request.fault is None and request.task is not current:
                request.fault = fault
                request.task.cancel()

    # --- from the broker --------------------------------------------------------------------

    def delivered(self, channel: int, consumer_tag: str, delivery: Delivery) -> None:
        """See `Client.delivered`."""
        self._say("deliver", partial(self._deliver, channel, consumer_tag, delivery))

    def consumer_cancelled(self, channel: int, consumer_tag: str) -> None:
        """See `Client.consumer_cancelled`."""
        self._say("consumer_cancelled", partial(self._cancel, channel, consumer_tag))

    def connection_lost(self) -> None:
        """See `Client.connection_lost`."""
        self._say("connection_lost", self.lose)

    def lose(self) -> None:
        """Find that the connection is lost."""
        self.end(ConnectionResetError("the connection is lost"))

    def end(self, fault: BaseException) -> None:
        """Close everything on this side, and tell the broker. Idempotent."""
        if self._fault is not None:
            return
        self._fault = fault
        self._sent.clear()
        self._coming.clear()
        self.interrupt(fault)
        for channel in [*self.channels.values()]:
            channel.end(fault)
        if self.session is not None:
            self._wire.push("broker.gone", self.session.end, self.session.end)
        self.close_callbacks.call_soon(fault)

    def _say(self, name: str, arrive: Callable[[], None]) -> None:
        self.said += 1
        self._coming.append((self.said, arrive))
        self._wire.push(f"broker.{name}", partial(self._hear, self.said), self.lose)

    def _hear(self, number: int) -> None:
        """Take what the broker said, up to a number."""
        while self._coming and self._coming[0][0] <= number:
            self._coming.popleft()[1]()

    def _deliver(self, channel: int, consumer_tag: str, delivery: Delivery) -> None:
        inner = self.channels.get(channel)
        if inner is not None:
            inner.deliver(consumer_tag, delivery)

    def _cancel(self, channel: int, consumer_tag: str) -> None:
        inner = self.channels.get(channel)
        if inner is not None:
            inner.consumer_cancelled(consumer_tag)


class Transport:
    """What `BrokerConnection` asks whether the broker blocks the connection."""

    def __init__(self) -> None:
        self.connection = self
        self._unblocked = asyncio.Event()
        self._unblocked.set()

    async def ready(self) -> None:
        """Wait until the broker reads from the connection."""
        await self._unblocked.wait()
