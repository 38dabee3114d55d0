"""A client with one credential that publishes whatever octets it likes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aio_pika
from aio_pika.exceptions import AMQPError

from tests.support.hostile import Octets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Stranger:
    """Publishes raw properties as one login; a connection the broker closes is opened anew."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._channel: aio_pika.abc.AbstractChannel | None = None
        self.refused = 0

    async def publish(self, exchange: str, key: str, body: bytes, octets: bytes) -> bool:
        """Whether the broker took it."""
        if self._channel is None or self._channel.is_closed:
            await self.close()
            self._connection = await aio_pika.connect(self._url)
            self._channel = await self._connection.channel()
        inner = await self._channel.get_underlay_channel()
        try:
            async with asyncio.timeout(10):
                await inner.basic_publish(
                    body, exchange=exchange, routing_key=key, properties=Octets(octets)
                )
        except (AMQPError, ConnectionError, asyncio.CancelledError):
            self.refused += 1
            return False
        return True

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


@asynccontextmanager
async def stranger(url: str) -> AsyncIterator[Stranger]:
    made = Stranger(url)
    try:
        yield made
    finally:
        await made.close()
