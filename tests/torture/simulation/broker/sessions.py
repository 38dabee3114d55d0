"""The broker's side of a connection.

Rules:
- A refusal (`ChannelRefusal`) closes the channel here before the client learns of it.
- The broker speaks first only through `Client`.
- While the broker is short of memory (`Server.alarm`), it reads nothing more from a connection that
  publishes: not the publish, and not what comes after it, acknowledgements included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from tests.torture.simulation.broker.channels import Channel
from tests.torture.simulation.broker.refusals import ChannelRefusal, FrameRefusal, NotKnown, Unread

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker.messages import Confirm, Delivery
    from tests.torture.simulation.broker.server import Server

P = ParamSpec("P")
T = TypeVar("T")


class Client(Protocol):
    """What the broker tells a client by itself."""

    def delivered(self, channel: int, consumer_tag: str, delivery: Delivery) -> None:
        """Take a message."""
        ...

    def consumer_cancelled(self, channel: int, consumer_tag: str) -> None:
        """Know that a consumer's queue is gone."""
        ...

    def blocked(self, *, on: bool) -> None:
        """Know whether the broker reads from the connection."""
        ...

    def connection_lost(self) -> None:
        """Know that the connection is gone."""
        ...


class Session:
    """A connection as the broker sees it.

    Args:
        server: the broker.
        user: name of the login.
        client: the other end.
        origin: where it comes from, as `Server.lose_connections` names it.
    """

    __slots__ = (
        "channels",
        "client",
        "heeds_alarms",
        "is_blocked",
        "is_gone",
        "may_publish",
        "origin",
        "server",
        "user",
    )

    def __init__(self, server: Server, user: str, client: Client, origin: object = None) -> None:
        self.server = server
        self.user = user
        self.client = client
        self.origin = origin
        self.channels: dict[int, Channel] = {}
        self.may_publish: dict[tuple[str, str], bool] = {}
        """Exchanges and keys whose rights were checked."""
        self.heeds_alarms = True
        self.is_blocked = False
        self.is_gone = False

    def open_channel(self, number: int) -> Channel:
        """Open a channel. Raises `NotKnown`."""
        if self.is_gone:
            raise NotKnown
        channel = self.channels[number] = Channel(self, number)
        return channel

    def on_channel(
        self,
        number: int,
        act: Callable[Concatenate[Channel, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Do something on an open channel.

        Raises:
            ChannelRefusal: the broker refused it and closed the channel.
            NotKnown: the channel or the connection is gone.
        """
        channel = self.channels.get(number)
        if channel is None:
            raise NotKnown
        try:
            return act(channel, *args, **kwargs)
        except ChannelRefusal:
            channel.close()
            raise

    def refuse_frame(self) -> Confirm:
        """End, because of a frame that is too large. Raises `FrameRefusal`."""
        self.end()
        raise FrameRefusal

    def block(self) -> None:
        """Read nothing more from this connection, if it heeds alarms. Raises `Unread`."""
        if self.heeds_alarms:
            self.is_blocked = True
            self.client.blocked(on=True)
            raise Unread

    def unblock(self) -> None:
        """Read from this connection again."""
        if self.is_blocked:
            self.is_blocked = False
            self.client.blocked(on=False)

    def end(self) -> None:
        """Close every channel and delete the exclusive queues. Idempotent."""
        if self.is_gone:
            return
        self.is_gone = True
        for channel in [*self.channels.values()]:
            channel.close()
        self.server.forget(self)
