"""The messages of the demo and the bucket of each, written independently of the worker.

Rules: nothing of the worker or of `contracts` is imported. A foreign publisher would write the same
by hand from the documentation. Every hundred messages have each bucket once, so that 1 % is exactly
one message in a hundred.
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
"""Odd and no multiple of five, so that all subscriber numbers occur before one repeats."""
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
        """The command on the wire. Its text names the message, so that journals can be matched."""
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
        """The same message, broken: its branch is no number."""
        return json.dumps({**json.loads(self.body()), "branchId": "north"}).encode()


def plan(run: str, seed: int = 1) -> Iterator[Planned]:
    """Make endless messages: each recipient once, lanes in turn.

    Args:
        run: a part of every id, so that messages of another run are never taken for ours.
        seed: seed of the order.
    """
    chance = random.Random(seed)  # noqa: S311 - only for an order, no secret
    numbers = _Numbers()
    count = 0
    while True:
        for place in chance.sample(range(BUCKETS), BUCKETS):
            count += 1
            lane = _LANES[count % len(_LANES)]
            yield Planned(f"demo-{run}-{count:05}", numbers.of_bucket(place), lane)


class _Numbers:
    """Zambian mobile numbers by bucket, each used once."""

    def __init__(self) -> None:
        self._pools: dict[int, list[str]] = defaultdict(list)
        self._count = 0

    def of_bucket(self, wanted: int) -> str:
        while not self._pools[wanted]:
            self._count += 1
            number = f"+26097{self._count * _STEP % _SUBSCRIBERS:07}"
            self._pools[bucket(number)].append(number)
        return self._pools[wanted].pop()
