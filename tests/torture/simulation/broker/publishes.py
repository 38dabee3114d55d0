"""What an inner channel publishes, with the names of aiormq's methods.

Rules: the library matches a returned message by its id, so two publishes with one id in flight get
each other's results. Our publisher must never do that; here it raises `NotSimulated`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import DeliveryError, PublishError
from pamqp import commands as spec
from pamqp.header import ContentHeader

from tests.torture.simulation.broker import encoding
from tests.torture.simulation.broker.channels import Channel
from tests.torture.simulation.broker.messages import Confirm
from tests.torture.simulation.broker.refusals import NotSimulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker import library
    from tests.torture.simulation.broker.connection import Connection


class Publishes:
    """The part of `inner_channel.InnerChannel` that publishes."""

    _connection: Connection
    _outer: library.Channel
    _on_channel: Callable[..., Any]
    _in_flight: dict[str, None]
    _published: int

    async def _call(self, name: str, apply: Callable[[], Any]) -> Any:
        raise NotImplementedError

    async def basic_publish(
        self,
        body: bytes,
        *,
        exchange: str = "",
        routing_key: str = "",
        properties: spec.Basic.Properties | None = None,
        mandatory: bool = False,
        immediate: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
    ) -> Any:
        """Publish and wait for the confirm, on a channel that has confirms."""
        if immediate:
            raise NotSimulated("immediate")
        properties = properties or spec.Basic.Properties(delivery_mode=1)
        self._published += 1
        tag = self._published
        ident = properties.message_id = properties.message_id or self._connection.server.new_id()
        if ident in self._in_flight:
            raise NotSimulated("two publishes with one message id in flight on a channel")
        publish = self._publish(body, str(exchange), str(routing_key), properties, mandatory)
        if not self._outer.publisher_confirms:
            self._connection.send(f"publish.{exchange}", publish)
            return None
        self._in_flight[ident] = None
        try:
            confirming = self._call(f"publish.{exchange}", publish)
            confirm = await (
                confirming if timeout is None else asyncio.wait_for(confirming, timeout)
            )
        finally:
            del self._in_flight[ident]
        if confirm is Confirm.RETURNED:
            return self._returned(body, exchange, routing_key, properties)
        if confirm is Confirm.REFUSED:
            raise DeliveryError(None, spec.Basic.Nack(delivery_tag=tag))
        return spec.Basic.Ack(delivery_tag=tag)

    def _publish(
        self,
        body: bytes,
        exchange: str,
        key: str,
        properties: spec.Basic.Properties,
        mandatory: bool,  # noqa: FBT001
    ) -> Callable[[], Confirm]:
        """Return what the broker does with a publish."""
        headers = encoding.carried(properties.headers) if properties.headers else {}
        if encoding.fit_into_a_frame(headers):
            return partial(
                self._on_channel,
                Channel.publish,
                body,
                exchange,
                key,
                properties,
                headers,
                mandatory,
            )
        return self._connection.session.refuse_frame

    def _returned(
        self, body: bytes, exchange: str, key: str, properties: spec.Basic.Properties
    ) -> DeliveredMessage:
        frame = spec.Basic.Return(312, "NO_ROUTE", str(exchange), str(key))
        header = ContentHeader(body_size=len(body), properties=properties)
        channel: Any = self
        message = DeliveredMessage(delivery=frame, header=header, body=body, channel=channel)
        if self._outer.on_return_raises:
            raise PublishError(message, frame)
        return message
