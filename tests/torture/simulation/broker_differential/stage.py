"""The exchanges and queues that a script plays on, under names of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aio_pika import ExchangeType

from tests.torture.simulation.broker_differential.scripts import EXCHANGES, QUEUES

if TYPE_CHECKING:
    from tests.torture.simulation.broker_differential.scripts import QueueSpec


class Stage:
    """What one player declares and deletes.

    Args:
        prefix: of all names.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def full(self, name: str) -> str:
        """Return a name of the scripts as it is on the broker."""
        return f"{self._prefix}.{name}"

    async def declare(self, channel: Any) -> None:
        """Declare everything."""
        for name in EXCHANGES:
            await channel.declare_exchange(self.full(name), ExchangeType.TOPIC, durable=True)
        for spec in QUEUES:
            queue = await channel.declare_queue(
                self.full(spec.name), durable=True, arguments=self._arguments(spec)
            )
            for exchange, pattern in spec.bindings:
                await queue.bind(self.full(exchange), pattern)

    def _arguments(self, spec: QueueSpec) -> dict[str, Any]:
        arguments = dict(spec.arguments)
        if spec.is_quorum:
            arguments["x-queue-type"] = "quorum"
        if spec.dead_letters is not None:
            arguments["x-dead-letter-exchange"] = self.full(spec.dead_letters)
        if spec.at_least_once:
            arguments["x-dead-letter-strategy"] = "at-least-once"
            arguments["x-overflow"] = "reject-publish"
        return arguments

    async def delete(self, channel: Any) -> None:
        """Delete everything."""
        for spec in QUEUES:
            await channel.queue_delete(self.full(spec.name))
        for exchange in EXCHANGES:
            await channel.exchange_delete(self.full(exchange))
