"""Traffic for tests of the whole system: so many messages a second by the clock.

Rules: a slow machine gets less traffic, not a queue that only grows: where too many messages are
without an end, traffic waits for them.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.support.whole_system import System

RATE: Final = 100
_BEAT_S: Final = 0.05


@dataclass
class Paced:
    """Messages by their number, `PREFIX-0` first.

    Attributes:
        system: that gets them.
        prefix: of their ids.
        lanes: taken in turn.
        most_untold: so many may be without an end.
        told: whether upstream knows the end of a message.
        rate: messages a second.
        names: ids of those published so far.
    """

    system: System
    prefix: str
    lanes: Sequence[str]
    most_untold: int
    told: Callable[[str], bool]
    rate: int = RATE
    names: list[str] = field(default_factory=list)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def flow(self) -> None:
        """Publish until told to stop."""
        began, untold, lanes = time.monotonic(), list[str](), cycle(self.lanes)
        while not self._ended.is_set():
            untold = [name for name in untold if not self.told(name)]
            first = len(self.names)
            due = int((time.monotonic() - began) * self.rate) - first
            count = max(0, min(due, self.most_untold - len(untold)))
            names = [f"{self.prefix}-{number}" for number in range(first, first + count)]
            await asyncio.gather(*(self.system.send(name, lane=next(lanes)) for name in names))
            self.names += names
            untold += names
            await asyncio.sleep(_BEAT_S)  # the beat of the load; how much is due the clock says

    def stop(self) -> None:
        """Publish nothing more."""
        self._ended.set()
