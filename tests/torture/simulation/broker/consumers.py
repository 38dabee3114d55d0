"""Who takes the messages of a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.torture.simulation.broker.channels import Channel
    from tests.torture.simulation.broker.queues import Queue


class Consumer:
    """Takes messages of one queue for one channel.

    Args:
        queue: what it consumes.
        channel: where it delivers to.
        tag: its name on the channel.
        prefetch: most unsettled messages; 0: any number.
        no_ack: whether a message is settled by its delivery.
    """

    __slots__ = ("channel", "in_hand", "is_on", "no_ack", "prefetch", "queue", "tag", "waits")

    def __init__(
        self, queue: Queue, channel: Channel, tag: str, prefetch: int, *, no_ack: bool
    ) -> None:
        self.queue = queue
        self.channel = channel
        self.tag = tag
        self.prefetch = prefetch
        self.no_ack = no_ack
        self.in_hand = 0
        self.is_on = True
        """Whether it was neither cancelled nor lost."""
        self.waits = False
        """Whether it stands in the queue's line."""

    @property
    def may_take(self) -> bool:
        """Whether it may have one more message."""
        return self.no_ack or not self.prefetch or self.in_hand < self.prefetch
