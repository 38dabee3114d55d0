"""A rolling restart as Kubernetes does it by our manifest, under traffic.

Rules: how many pods there are, that a new one is ready before an old one is told to stop, and how
long that one may take are read from the manifest. As there, the next pod starts while the last one
still drains. `minReadySeconds` is left out, which makes it harder: the old pod goes at once.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Self

from tests.support.manifests import KUBERNETES, documents
from tests.support.paced import RATE, Paced
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.whole_system import System
    from worker.lab.local.process import Child

_MOST_UNTOLD: Final = RATE
_SOME: Final = 2 * RATE


@dataclass(frozen=True)
class Manifest:
    """What the manifest says of the workers."""

    replicas: int
    grace_s: int

    @classmethod
    def read(cls) -> Self:
        """Read it; raises if old pods go before new ones are ready."""
        spec: dict[str, Any] = documents(KUBERNETES / "base" / "worker.yaml")[0]["spec"]
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        return cls(spec["replicas"], spec["template"]["spec"]["terminationGracePeriodSeconds"])


class Traffic:
    """100 messages a second on both lanes, by the clock.

    Args:
        system: that gets it.
        prefix: of message ids.
    """

    def __init__(self, system: System, prefix: str) -> None:
        self._system = system
        self._prefix = prefix
        self._paced = Paced(system, prefix, ("transactional", "bulk"), _MOST_UNTOLD, self._told)

    @property
    def names(self) -> list[str]:
        """Ids of the messages so far."""
        return self._paced.names

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """It flows within the block; the first messages are sent when the block begins."""
        flow = asyncio.create_task(self._paced.flow())
        try:
            await self.more()
            yield
        finally:
            self._paced.stop()
            await flow

    async def more(self) -> None:
        """Wait until some more messages are sent."""
        enough = self._settled() + _SOME
        await until(lambda: self._settled() >= enough, 60, self.how_many)

    def sent_at(self) -> list[float]:
        """When a provider took a message, in seconds of the machine's clock, oldest first."""
        lines = self._system.taken()
        return sorted(each["monotonic"] for each in lines if each["key"].startswith(self._prefix))

    def longest_gap_s(self, since: float) -> float:
        """The longest time without a send after a moment of the machine's clock."""
        times = [since, *(each for each in self.sent_at() if each > since)]
        return max((after - before for before, after in pairwise(times)), default=0.0)

    def unsettled(self) -> list[str]:
        """Messages that upstream does not know to be sent."""
        return [name for name in self.names if not self._told(name)]

    def _told(self, name: str) -> bool:
        return self._system.events.first(name, "sms.sent") is not None

    def _settled(self) -> int:
        return len(self.names) - len(self.unsettled())

    def how_many(self) -> str:
        """How far it is."""
        return f"{self._settled()} of {len(self.names)} sent"


@dataclass(frozen=True)
class Restarted:
    """What came of a restart."""

    codes: list[int]
    """Exit codes of the old replicas."""
    began: float
    ended: float
    slowest_start_s: float
    """How long a new replica took until it was ready."""


async def restart(system: System, manifest: Manifest) -> Restarted:
    """Replace every replica by a new one."""
    began, slowest, leaving = time.monotonic(), 0.0, []
    for _, old in system.workers():
        started = time.monotonic()
        await system.stack.add_replica()
        slowest = max(slowest, time.monotonic() - started)
        old.signal(signal.SIGTERM)
        leaving.append(asyncio.create_task(_gone(old, manifest.grace_s)))
    codes = list(await asyncio.gather(*leaving))
    return Restarted(codes, began, time.monotonic(), slowest)


async def _gone(old: Child, grace_s: int) -> int:
    async with asyncio.timeout(grace_s):
        return await old.wait()


def longest_gap_s(times: list[float], restarted: Restarted) -> float:
    """The longest time between two of these during the restart."""
    within = [each for each in times if restarted.began <= each <= restarted.ended]
    return max(after - before for before, after in pairwise(within))
