"""The client's side of a connection: what `BrokerConnection` and aio-pika's channels use of one.

Rules, as TCP and the client library keep them:
- The order is kept in both directions. A request that reaches the broker brings along what was sent
  before it on the same connection; a reply brings along what the broker said before it.
- When the connection is lost, everything that waits for a reply gets the error at once; whether it
  was applied is not known.
- A request that is given up may still be applied.
- What the broker says is taken in the context of the process that opened the connection, so that
  the tasks it starts are that process's.
- A request that the broker does not read (see `sessions`) is answered when it reads again.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from aiormq.exceptions import AMQPConnectionError

from tests.torture.simulation.broker.callbacks import Callbacks
from tests.torture.simulation.broker.inner_channel import InnerChannel
from tests.torture.simulation.broker.library import Channel
from tests.torture.simulation.broker.requests import UNREAD, Request
from tests.torture.simulation.broker.transport import Transport
from tests.torture.simulation.wire import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self.close_callbacks = Callbacks(self)
        self.is_closed = False
        """Whether it was closed from here; the library does not say so of a lost one."""
        self.channels: dict[int, InnerChannel] = {}
        self.numbers = itertools.count(1)
        """For new channels."""
        self.fault: BaseException | None = None
        """Why it can be used no more."""
        self.said = 0
        """How much the broker said by itself."""
        self._session: Session | None = None
        self._transport = Transport()
        self._wire = wire
        self._patience_s = _HEARTBEATS * heartbeat_s
        self._sent: deque[Request] = deque()
        self._waiting: dict[Request, InnerChannel | None] = {}
        self._sending: dict[asyncio.Task[None], None] = {}
        self._coming: deque[tuple[int, Callable[[], None]]] = deque()
        self._context = contextvars.copy_context()

    async def open(self, user: str, timeout_s: float) -> None:
        """Log in. Raises `OSError`."""

        def attach() -> None:
            if self.fault is None:
                self._session = self.server.open(user, self, self._wire)

        try:
            await self._wire.call("broker.open", attach, within_s=timeout_s)
        except Lost as lost:
            raise TimeoutError("the broker does not answer") from self.lose(str(lost))
        except asyncio.CancelledError:
            self.lose("given up")
            raise

    @property
    def transport(self) -> Transport | None:
        """What says whether the broker reads; None: the connection was closed from here."""
        return None if self.is_closed else self._transport

    @property
    def session(self) -> Session:
        """The broker's side."""
        assert self._session is not None, "not open"
        return self._session

    def channel(self, **options: bool) -> Channel:
        """Return a channel to be awaited or entered."""
        if self.fault is not None:
            raise RuntimeError("the connection is closed") from self.fault
        return Channel(self, **options)

    async def close(self) -> None:
        """Close it. Idempotent."""
        self.is_closed = True
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

    # --- to the broker ----------------------------------------------------------------------

    async def call(
        self, name: str, apply: Callable[[], T], channel: InnerChannel | None = None
    ) -> T:
        """Send a request and wait for the reply.

        Args:
            name: what is asked.
            apply: what the broker does; what it raises is the reply.
            channel: whose end is the end of the wait.
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
            request = self._sent[0]
            if not request.apply():
                return
            self._sent.popleft()
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
        arrive = partial(self._on, channel, InnerChannel.deliver, consumer_tag, delivery)
        self.say(f"deliver.{delivery.queue}", arrive)

    def consumer_cancelled(self, channel: int, consumer_tag: str) -> None:
        """See `Client.consumer_cancelled`."""
        cancel = partial(self._on, channel, InnerChannel.consumer_cancelled, consumer_tag)
        self.say("consumer_cancelled", cancel)

    def blocked(self, *, on: bool) -> None:
        """See `Client.blocked`."""
        self.say("blocked", partial(self._transport.block, on=on))
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
        if self._session is not None:
            self._wire.push("broker.gone", self._session.end, self._session.end)
        self.close_callbacks.call_soon(fault)

    def _hear(self, number: int) -> None:
        """Take what the broker said, up to a number."""
        while self._coming and self._coming[0][0] <= number:
            self._context.run(self._coming.popleft()[1])

    def _on(self, number: int, act: Callable[..., None], *args: Any) -> None:
        """Tell a channel something, if it is still open."""
        inner = self.channels.get(number)
        if inner is not None:
            act(inner, *args)
