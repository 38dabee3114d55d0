"""The client's side of a connection: what `BrokerConnection` and aio-pika's channels use of one.

Rules, as TCP and the client library keep them:
- The order is kept in both directions. A request that reaches the broker brings along what was sent
  before it on the same connection; a reply brings along what the broker said before it.
- When the connection is lost, everything that waits for a reply gets the error at once; whether it
  was applied is not known.
- A request that is given up may still be applied.
- A request that the broker does not read (see `sessions`) is answered when it reads again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Self, TypeVar

from aiormq.exceptions import AMQPConnectionError

from tests.torture.simulation.broker.callbacks import Callbacks
from tests.torture.simulation.broker.library import Channel
from tests.torture.simulation.broker.requests import UNREAD, Request
from tests.torture.simulation.wire import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker.inner_channel import InnerChannel
    from tests.torture.simulation.broker.messages import Delivery
    from tests.torture.simulation.broker.server import Server
    from tests.torture.simulation.broker.sessions import Session
    from tests.torture.simulation.wire import Wire

T = TypeVar("T")
_HEARTBEATS: Final = 2
"""Heartbeats that a peer may miss before it counts as dead."""


class Connection:
    """A connection to the simulated broker.

    Args:
        server: the broker.
        wire: between this process and the broker.
        heartbeat_s: seconds between heartbeats.
    """

    def __init__(self, server: Server, wire: Wire, heartbeat_s: float) -> None:
        self.server = server
        self.session: Session
        self.close_callbacks = Callbacks(self)
        self.is_closed = False
        """Whether it was closed from here; the library does not say so of a lost one."""
        self.transport: Transport | None = Transport()
        self.channels: dict[int, InnerChannel] = {}
        self.fault: BaseException | None = None
        """Why it can be used no more."""
        self.said = 0
        """How much the broker said by itself."""
        self._wire = wire
        self._patience_s = _HEARTBEATS * heartbeat_s
        self._sent: deque[Request] = deque()
        self._waiting: dict[Request, InnerChannel | None] = {}
        self._sending: dict[asyncio.Task[None], None] = {}
        self._coming: deque[tuple[int, Callable[[], None]]] = deque()
        self._numbers = 0

    async def open(self, user: str, timeout_s: float) -> None:
        """Log in.

        Raises:
            TimeoutError: the broker does not answer.
            OSError: it is down, or does not know the user.
        """

        def attach() -> None:
            self.session = self.server.open(user, self, self._wire)

        try:
            await self._wire.call("broker.open", attach, within_s=timeout_s)
        except Lost as lost:
            raise TimeoutError("the broker does not answer") from lost

    def channel(self, *, on_return_raises: bool = False) -> Channel:
        """Return a channel to be awaited or entered."""
        if self.fault is not None:
            raise RuntimeError("the connection is closed") from self.fault
        return Channel(self, on_return_raises=on_return_raises)

    async def close(self) -> None:
        """Close it. Idempotent."""
        self.is_closed = True
        self.transport = None
        if self.fault is None:
            try:
                await self.call("close", self.session.end)
            finally:
                self.end(AMQPConnectionError("closed"))

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

        Args:
            name: what is asked.
            apply: what the broker does; what it raises is the reply.
            channel: whose end is the end of the wait.

        Raises:
            AMQPConnectionError: the connection is lost.
        """
        if self.fault is not None:
            raise self.fault
        request = Request(self, apply)
        self._sent.append(request)
        self._waiting[request] = channel
        try:
            reply = await self._wire.call(
                f"broker.{name}", request.reach, within_s=self._patience_s
            )
            if reply is UNREAD:
                reply = await request.read_later()
        except Lost:
            del self._waiting[request]
            raise self.lose("the broker does not answer") from None
        except asyncio.CancelledError:
            if request.was_interrupted():
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
        """Have the broker read what was sent, up to a request, unless it reads nothing."""
        while self._sent and not self.session.is_blocked:
            request = self._sent.popleft()
            request.apply()
            if request is last:
                return

    def interrupt(self, fault: BaseException, channel: InnerChannel | None = None) -> None:
        """Give an error to all that wait for a reply, or to those of one channel."""
        for request, on in self._waiting.items():
            if channel in {None, on}:
                request.interrupt(fault)

    # --- from the broker --------------------------------------------------------------------

    def delivered(self, channel: int, consumer_tag: str, delivery: Delivery) -> None:
        """See `Client.delivered`."""
        arrive = partial(self._deliver, channel, consumer_tag, delivery)
        self.say(f"deliver.{delivery.queue}", arrive)

    def consumer_cancelled(self, channel: int, consumer_tag: str) -> None:
        """See `Client.consumer_cancelled`."""
        self.say("consumer_cancelled", partial(self._cancel_consumer, channel, consumer_tag))

    def blocked(self, *, on: bool) -> None:
        """See `Client.blocked`."""
        self.say("blocked", partial(self._block, on))
        if not on:
            for request in [each for each in self._sent if each.has_reached]:
                self.bring(request)
                self.say("reply", request.answer)

    def connection_lost(self) -> None:
        """See `Client.connection_lost`."""
        self.say("connection_lost", self.lose)

    def say(self, name: str, arrive: Callable[[], None]) -> None:
        """Carry what the broker says by itself to this side."""
        self.said += 1
        self._coming.append((self.said, arrive))
        self._wire.push(f"broker.{name}", partial(self._hear, self.said), self.lose)

    def lose(self, why: str = "Server connection unexpectedly closed") -> AMQPConnectionError:
        """Find that the connection is lost; returns the error that everybody gets."""
        error = AMQPConnectionError(why)
        self.end(error)
        return error

    def end(self, fault: BaseException) -> None:
        """Close everything on this side, and tell the broker. Idempotent."""
        if self.fault is not None:
            return
        self.fault = fault
        if self.transport is not None:
            self.transport.is_closed = True
        self._sent.clear()
        self._coming.clear()
        self.interrupt(fault)
        for channel in [*self.channels.values()]:
            channel.end(fault)
        self._wire.push("broker.gone", self.session.end, self.session.end)
        self.close_callbacks.call_soon(fault)

    def _hear(self, number: int) -> None:
        """Take what the broker said, up to a number."""
        while self._coming and self._coming[0][0] <= number:
            self._coming.popleft()[1]()

    def _deliver(self, channel: int, consumer_tag: str, delivery: Delivery) -> None:
        inner = self.channels.get(channel)
        if inner is not None:
            inner.deliver(consumer_tag, delivery)

    def _cancel_consumer(self, channel: int, consumer_tag: str) -> None:
        inner = self.channels.get(channel)
        if inner is not None:
            inner.consumer_cancelled(consumer_tag)

    def _block(self, on: bool) -> None:  # noqa: FBT001 - bound before
        if self.transport is not None:
            self.transport.block(on=on)


class Transport:
    """What `BrokerConnection` asks whether the broker blocks the connection."""

    def __init__(self) -> None:
        self.connection = self
        self.is_closed = False
        """Whether the connection is closed or lost."""
        self._unblocked = asyncio.Event()
        self._unblocked.set()

    def block(self, *, on: bool) -> None:
        """Know whether the broker reads."""
        if on:
            self._unblocked.clear()
        else:
            self._unblocked.set()

    async def ready(self) -> None:
        """Wait until the broker reads."""
        await self._unblocked.wait()
