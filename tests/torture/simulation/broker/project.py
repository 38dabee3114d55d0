"""This project's broker: its topology, policies and users, and clients that need no wire.

Rules: the declarations and the definitions file are the real ones.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from pamqp.commands import Basic

from tests.torture.simulation.broker import declaring, encoding
from tests.torture.simulation.broker.channels import Channel
from tests.torture.simulation.broker.rights import Rights
from tests.torture.simulation.broker.server import Server
from tests.torture.simulation.broker.sessions import Session
from tests.torture.simulation.broker.settings import Policies, declaration
from worker.broker.topology import TOPOLOGY
from worker.lab.local.broker import DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker.messages import Confirm, Delivery


def server(clock: Callable[[], float]) -> Server:
    """Return a broker with everything declared and nothing in it.

    Args:
        clock: seconds since the epoch.
    """
    return _prototype().copy(clock)


@cache
def _prototype() -> Server:
    definitions = json.loads(DEFINITIONS.read_text())
    made = Server(Policies(definitions["policies"]), Rights(definitions), lambda: 0.0)
    for exchange in TOPOLOGY.exchanges:
        made.declare_exchange(exchange.value)
    for spec in TOPOLOGY.queues:
        wanted = declaration(
            durable=True, exclusive=False, auto_delete=False, arguments=spec.all_arguments()
        )
        made.declare_queue(spec.name, wanted, None)
    for binding in TOPOLOGY.bindings:
        made.bind(binding.queue, binding.exchange.value, binding.key, None)
    return made


class DirectClient:
    """Another user of the broker, without a wire: what it does happens at once.

    Its connection is never lost, and no alarm stops it; while the broker is down it cannot use it.

    Args:
        broker: the broker.
        user: name of the login.
    """

    def __init__(self, broker: Server, user: str) -> None:
        self._broker = broker
        self._user = user
        self._receivers: dict[str, Callable[[Delivery], None]] = {}
        self._session = Session(broker, user, self)
        self._session.heeds_alarms = False
        self._session.open_channel(1)

    def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        *,
        mandatory: bool = True,
        properties: Basic.Properties | None = None,
    ) -> Confirm:
        """Publish a message and return the confirm."""
        self._check()
        given = properties or Basic.Properties(delivery_mode=2)
        headers = encoding.carried(given.headers or {})
        return self._session.on_channel(
            1, Channel.publish, body, exchange, key, given, headers, mandatory
        )

    def subscribe(self, exchange: str, pattern: str, receive: Callable[[Delivery], None]) -> None:
        """Have each matching message delivered to a queue of our own.

        Args:
            exchange: where it is published.
            pattern: of its routing key.
            receive: called at once with each; it must not call the broker.
        """
        name = f"sms.own.{self._user}.{len(self._receivers) + 1}"
        wanted = declaration(durable=True, exclusive=False, auto_delete=False, arguments=None)
        on_channel = self._session.on_channel
        self._receivers[name] = receive
        on_channel(1, declaring.declare_queue, name, wanted)
        on_channel(1, declaring.bind, name, exchange, pattern)
        on_channel(1, Channel.consume, name, name, no_ack=True)

    def get(self, queue: str) -> Delivery | None:
        """Take one message off a queue."""
        self._check()
        return self._session.on_channel(1, Channel.get, queue, no_ack=True)

    def _check(self) -> None:
        if not self._broker.is_up:
            raise ConnectionRefusedError("nothing listens there")

    def delivered(self, channel: int, consumer_tag: str, delivery: Delivery) -> None:
        """See `Client.delivered`."""
        del channel
        self._receivers[consumer_tag](delivery)

    def consumer_cancelled(self, channel: int, consumer_tag: str) -> None:
        """See `Client.consumer_cancelled`."""

    def blocked(self, *, on: bool) -> None:
        """See `Client.blocked`."""

    def connection_lost(self) -> None:
        """See `Client.connection_lost`."""
