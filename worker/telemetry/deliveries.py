"""Counts deliveries of each queue: how long they waited there, and how long they are handled.

Rules: a delivery costs two looks at the clock and some additions. A wait is counted once for each
message: not of a redelivery, nor of a copy that comes from a retry tier.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from contracts.names import Header
from worker.telemetry import names
from worker.telemetry.instrument import Buckets
from worker.telemetry.instruments import PROCESSED, QUEUE_WAIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.ports.broker import Handler, Incoming, Settlement
    from worker.ports.clock import Clock
    from worker.telemetry.instrument import Distribution, Sample

BROKER_TIME: Final = "timestamp_in_ms"
"""Header in which RabbitMQ 4 notes when it took a message, where it is told to."""


class Deliveries:
    """Counts the deliveries of all queues of a process.

    Args:
        clock: time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[str, _Queue] = {}

    def counted(self, handler: Handler, queue: str) -> Handler:
        """Wrap the handler of a queue."""
        clock, counts = self._clock, _Queue()
        self._queues[queue] = counts
        in_hand = counts.in_hand

        async def handle(incoming: Incoming) -> Settlement:
            began, token = clock.monotonic(), object()
            taken_at = _taken_at(incoming)
            if taken_at is not None:
                counts.waits.add(clock.now().timestamp() - taken_at)
            in_hand[token] = began
            try:
                return await handler(incoming)
            finally:
                del in_hand[token]
                counts.handled.add(clock.monotonic() - began)

        return handle

    def waits(self) -> Iterator[Distribution]:
        """How long messages waited, seconds by queue."""
        for queue, counts in self._queues.items():
            yield counts.waits.read({names.DESTINATION: queue})

    def handled(self) -> Iterator[Distribution]:
        """How long deliveries were handled, seconds by queue."""
        for queue, counts in self._queues.items():
            yield counts.handled.read(
                {
                    names.SYSTEM: names.SYSTEM_RABBITMQ,
                    names.OPERATION_NAME: names.OPERATION_PROCESS,
                    names.DESTINATION: queue,
                }
            )

    def oldest(self) -> Iterator[Sample]:
        """For how long the oldest delivery of each queue is in hand, seconds."""
        now = self._clock.monotonic()
        for queue, counts in self._queues.items():
            began = next(iter(counts.in_hand.values()), now)
            yield now - began, {names.DESTINATION: queue}


class _Queue:
    __slots__ = ("handled", "in_hand", "waits")

    def __init__(self) -> None:
        self.waits = Buckets(QUEUE_WAIT.bounds)
        self.handled = Buckets(PROCESSED.bounds)
        self.in_hand: dict[object, float] = {}
        """When each delivery in hand was taken, the oldest first."""


def _taken_at(incoming: Incoming) -> float | None:
    """When the message came into its queue, seconds since the epoch; None: it does not count."""
    if incoming.redelivered or Header.FIRST_AT in incoming.headers:
        return None
    stamped = incoming.headers.get(BROKER_TIME)
    if isinstance(stamped, int) and not isinstance(stamped, bool):
        return stamped / 1_000
    at = incoming.timestamp
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
