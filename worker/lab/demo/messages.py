"""The messages of the demo and the side each belongs to, written down independently of the worker.

Rules: nothing of the worker or of `contracts` is imported: this is what a foreign publisher would
write by hand from the documentation. In every hundred messages each bucket occurs once, so that
1 % is one message in a hundred, whatever the numbers.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKETS: Final = 100
_SUBSCRIBERS: Final = 10_000_000
_STEP: Final = 4_827_191
"""Odd and no multiple of five: walks all subscriber numbers before one comes again."""
_LANES: Final = ("transactional", "bulk")


def bucket(to: str) -> int:
    """The documented mapping: |first four bytes of SHA-1, little-endian int32| mod 100."""
    digest = hashlib.sha1(to.encode("utf-8"), usedforsecurity=False).digest()
    (number,) = struct.unpack_from("<i", digest)
    return int(abs(number) % BUCKETS)


@dataclass(frozen=True, slots=True)
class Planned:
    """A message to publish."""

    id: str
    to: str
    lane: str

    @property
    def key(self) -> str:
        """Routing key on `sms.commands`."""
        return f"send.{self.lane}"

    def body(self) -> bytes:
        """The command on the wire; its text names the message, so that journals can be joined."""
        command = {
            "messageId": self.id,
            "to": self.to,
            "text": f"Your appointment is confirmed. #{self.id}",
            "userId": "demo",
            "messageType": "OneTimeCode" if self.lane == "transactional" else "Campaign",
            "metadata": {"BranchId": "17"},
        }
        return json.dumps(command).encode()

    def broken_body(self) -> bytes:
        """The same with a branch that is no number."""
        return json.dumps({**json.loads(self.body()), "branchId": "north"}).encode()


def plan(run: str, seed: int = 1) -> Iterator[Planned]:
    """Messages without end: each recipient once, lanes in turn.

    Args:
        run: goes into every id, so that another run's messages are never taken for ours.
        seed: of the order.
    """
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    numbers = _Numbers()
    count = 0
    while True:
        for place in chance.sample(range(BUCKETS), BUCKETS):
            count += 1
            lane = _LANES[count % len(_LANES)]
            yield Planned(f"demo-{run}-{count:05}", numbers.of_bucket(place), lane)


class _Numbers:
    """Zambian mobile numbers, each handed out once, by bucket."""

    def __init__(self) -> None:
        self._pools: dict[int, list[str]] = defaultdict(list)
        self._count = 0

    def of_bucket(self, wanted: int) -> str:
        while not self._pools[wanted]:
            self._count += 1
            number = f"+26097{self._count * _STEP % _SUBSCRIBERS:07}"
            self._pools[bucket(number)].append(number)
        return self._pools[wanted].pop()
