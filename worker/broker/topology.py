"""Describes the topology on the broker as data, and declares it.

Rules: one topology serves RabbitMQ 3.10 and 4.x; declaring it twice changes nothing. A queue has as
arguments only its type, which must be set at the declaration, and what no client could otherwise
rely on: the dead-lettering of the retry queues, without which an unroutable expired copy is lost.
Everything else is policy (`deploy/rabbitmq/definitions.json`), because the broker refuses every
later declaration if an argument has changed. Consumers declare their own queues
(`sms.own.<user>.*`) themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aio_pika import ExchangeType

from contracts.names import (
    COMMAND_BINDINGS,
    RETRY_TIERS,
    RETRYABLE,
    Exchange,
    Queue,
    retry_key,
    retry_queue,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aio_pika.abc import AbstractChannel
    from pamqp.common import FieldTable

DEFINITIONS_FILE: Final = "deploy/rabbitmq/definitions.json"


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A durable quorum queue."""

    name: str
    arguments: Mapping[str, str | int] = field(default_factory=dict)
    """Arguments other than `x-queue-type`."""

    def all_arguments(self) -> FieldTable:
        """Return all arguments of the declaration."""
        return {"x-queue-type": "quorum", **self.arguments}


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages published to `exchange` with a key that `key` matches go to `queue`."""

    exchange: Exchange
    key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Topology:
    """What must exist on the broker before anything is published or consumed."""

    exchanges: tuple[Exchange, ...]
    """All durable, of type topic."""
    queues: tuple[QueueSpec, ...]
    bindings: tuple[Binding, ...]

    def describe(self) -> str:
        """Return the whole topology as text for a person, one line for each thing."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        width = max(len(spec.name) for spec in self.queues)
        for exchange in self.exchanges:
            yield f"exchange  {exchange.value}  topic, durable"
        for spec in self.queues:
            arguments = ", ".join(f"{key}={value!s}" for key, value in spec.all_arguments().items())
            yield f"queue     {spec.name:<{width}}  durable, {arguments}"
        for binding in self.bindings:
            yield f"binding   {binding.queue:<{width}}  <- {binding.exchange.value} {binding.key}"


def _retry_spec(tier: str, seconds: int) -> QueueSpec:
    """Describe a queue that hands each copy to `sms.requeue` after its time and never drops one."""
    return QueueSpec(
        retry_queue(tier),
        {
            "x-message-ttl": seconds * 1000,
            "x-dead-letter-exchange": Exchange.REQUEUE.value,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def _bindings() -> Iterator[Binding]:
    for queue, keys in COMMAND_BINDINGS.items():
        yield from (Binding(Exchange.COMMANDS, str(key), queue) for key in keys)
    yield Binding(Exchange.REPORTS, "report.#", Queue.REPORTS)
    yield Binding(Exchange.CONTROL, "control.command.*", Queue.CONTROL_COMMAND)
    yield Binding(Exchange.CONTROL, "control.query.*", Queue.CONTROL_QUERY)
    for tier in RETRY_TIERS:
        yield Binding(Exchange.RETRY, retry_key(tier, "#"), retry_queue(tier))
    for queue in RETRYABLE:
        yield Binding(Exchange.REQUEUE, retry_key("*", queue), queue)
    yield Binding(Exchange.LOST, "#", Queue.LOST)
    yield Binding(Exchange.DEAD, "#", Queue.DEAD)
    yield Binding(Exchange.UNROUTED_COMMANDS, "#", Queue.UNROUTED_COMMANDS)
    yield Binding(Exchange.UNROUTED_EVENTS, "#", Queue.UNROUTED_EVENTS)


TOPOLOGY: Final = Topology(
    exchanges=tuple(Exchange),
    queues=(
        *(QueueSpec(queue.value) for queue in Queue),
        *(_retry_spec(tier, seconds) for tier, seconds in RETRY_TIERS.items()),
    ),
    bindings=tuple(_bindings()),
)
"""The topology of this system, built from `contracts.names`."""


async def apply(channel: AbstractChannel, topology: Topology = TOPOLOGY) -> None:
    """Declare everything. Idempotent.

    AMQP cannot declare policies, users and permissions: import `DEFINITIONS_FILE` for them.

    Args:
        channel: of a user that may configure, write and read `sms.*`.
        topology: what to declare.

    Raises:
        aio_pika.exceptions.ChannelPreconditionFailed: a thing of that name exists with other
            properties; the error names it.
    """
    for exchange in topology.exchanges:
        await channel.declare_exchange(exchange.value, ExchangeType.TOPIC, durable=True)
    for spec in topology.queues:
        await channel.declare_queue(spec.name, durable=True, arguments=spec.all_arguments())
    for binding in topology.bindings:
        queue = await channel.get_queue(binding.queue, ensure=False)
        await queue.bind(binding.exchange.value, binding.key)
