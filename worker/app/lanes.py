"""The lane consumers as one service: they start, pause, hold and drain together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.broker.consumer import Consumer
    from worker.domain.messages.message import Lane


class Lanes:
    """The consumers of both lanes (`ports.broker.Lanes`)."""

    def __init__(self) -> None:
        self.consumers: Mapping[Lane, Consumer] = {}
        self.draining = False

    def pause(self, lane: Lane, seconds: float) -> None:
        """See `ports.Lanes.pause`."""
        self.consumers[lane].pause("providers", seconds)

    def hold(self, who: str) -> None:
        """Take nothing new on any lane."""
        for consumer in self.consumers.values():
            consumer.hold(who)

    def free(self, who: str) -> None:
        """Undo `hold`."""
        for consumer in self.consumers.values():
            consumer.free(who)

    @property
    def in_hand(self) -> int:
        """Deliveries not settled yet."""
        return sum(consumer.in_hand for consumer in self.consumers.values())

    @property
    def consuming(self) -> bool:
        """Whether the broker delivers on every lane now."""
        return all(consumer.consuming for consumer in self.consumers.values())

    def checks(self) -> Mapping[str, Callable[[], tuple[bool, str]]]:
        """Return the readiness check of each lane."""
        return {str(lane): _check(consumer) for lane, consumer in self.consumers.items()}

    async def start(self) -> None:
        """Consume on both lanes."""
        for consumer in self.consumers.values():
            await consumer.start()

    async def drain(self) -> None:
        """Take nothing new; both lanes drain at the same time."""
        self.draining = True
        await asyncio.gather(*(consumer.drain() for consumer in self.consumers.values()))

    async def stop(self) -> None:
        """Stop both consumers."""
        for consumer in self.consumers.values():
            await consumer.stop()


def _check(consumer: Consumer) -> Callable[[], tuple[bool, str]]:
    def check() -> tuple[bool, str]:
        held = consumer.held_by
        if held == {"providers"}:
            return True, "paused: no provider takes more now"
        if held and not consumer.consuming:
            return False, f"held back: {', '.join(sorted(held))}"
        if held:
            return False, "not held back yet: the broker still delivers"
        return consumer.consuming, "consuming" if consumer.consuming else "not consuming"

    return check
