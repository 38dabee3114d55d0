"""A proxy before the real broker, in the words that the tests of the broker's clients use."""

from __future__ import annotations

from typing import Final

from tests.support.proxy import Proxy

PUBLISH: Final = b"\x00\x3c\x00\x28"
"""Class and method of `basic.publish` (AMQP 0-9-1)."""


class BrokerProxy(Proxy):
    """A proxy that knows a publish when it sees one."""

    def lose_confirms(self, count: int) -> None:
        """Let so many publishes reach the broker, but not their confirms."""
        self.lose_replies_to, self.losses_left = PUBLISH, count

    def swallow(self) -> None:
        """Take what clients send and pass nothing on, until `heal`."""
        self.stalled = True

    @property
    def has_kept_a_publish(self) -> bool:
        """Whether a publish was taken and not passed on."""
        return PUBLISH in self.requests.dropped
