"""Far more than a provider takes: what waits, what goes out, and what that costs.

Rules: all bulk messages go to one provider, which is limited; a part of them expires while it
waits. One-time codes come on the other lane all the while. What the providers took is read from
their journals, attempts from the records.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import quantiles
from typing import TYPE_CHECKING, Final

from contracts.names import Queue, retry_queue
from tests.support.waiting import until
from tests.torture.judge.facts import Fault
from tests.torture.network import flood
from tests.torture.network.chart import chart, table
from tests.torture.network.journals import Journals
from tests.torture.network.providers import Behaviour
from tests.torture.network.resources import Resources
from tests.torture.network.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.whole_system import System
    from tests.torture.judge.facts import Command

EVERY_S: Final = 1.0
CODES_PER_S: Final = 5
CODE_WITHIN_S: Final = 2.0
RECOVERS_WITHIN_S: Final = 5.0
FULL: Final = 0.9
"""Share of the rate before that counts as the full one."""
_AWAY: Final = {"action": {"do": "unreachable"}}
_SMOOTHED_S: Final = 1.0
_LIFE_S: Final = 86_400.0


@dataclass(frozen=True)
class Sample:
    """The system at one moment."""

    at: float
    waiting: int
    parked: int
    taken: int
    workers: tuple[Resources, ...]


@dataclass
class Overload:
    """A flood of bulk messages, and one-time codes beside it.

    Attributes:
        system: that gets them.
        upstream: address of the service that publishes.
        bulk: what was flooded, by id.
        codes: the one-time codes.
        samples: one a second.
        faults: that were inflicted.
    """

    system: System
    upstream: str
    prefix: str = "flood"
    bulk: dict[str, Command] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.journals = Journals(self.system)
        self._taken_at: dict[str, float] = {}
        self.codes = Traffic(
            self.system, self.upstream, f"{self.prefix}-code", CODES_PER_S, ("transactional",)
        )

    async def publish(self, count: int, *, expiring: int, after_s: float) -> None:
        """Publish so many, of which the first `expiring` live for `after_s` alone."""
        now = time.time()
        dying = list(flood.commands(f"{self.prefix}-dying", expiring, now, now + after_s))
        lasting = list(flood.commands(f"{self.prefix}-bulk", count - expiring, now, now + _LIFE_S))
        until_then = datetime.fromtimestamp(now + after_s, UTC).isoformat()
        await flood.publish(self.upstream, dying, expiresAt=until_then)
        await flood.publish(self.upstream, lasting)
        self.bulk = {each.id: each for each in (*dying, *lasting)}

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Take a sample each second within the block."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def _watch(self) -> None:
        while True:
            self.samples.append(await self.sample())
            await asyncio.sleep(EVERY_S)  # the beat of the samples

    async def sample(self) -> Sample:
        """The system now."""
        self._read_journals()
        return Sample(
            time.monotonic(),
            await self.system.dead.ready(Queue.BULK),
            await self.system.dead.ready(retry_queue("5s")),
            self.journals.count(),
            tuple(Resources.of(child.id.pid) for _, child in self.system.workers()),
        )

    def _read_journals(self) -> None:
        for line in self.journals.news():
            self._taken_at[line["key"]] = datetime.fromisoformat(line["at"]).timestamp()

    def rate(self, seconds: float) -> float:
        """Messages that providers took per second lately."""
        self._read_journals()
        now = time.monotonic()
        return self.journals.rate(now - seconds, now)

    def codes_took_s(self) -> list[float]:
        """Seconds from publish to the provider's journal, of every code."""
        self._read_journals()
        return sorted(
            self._taken_at[ident] - command.at for ident, command in self.codes.commands.items()
        )

    async def away(self, provider: str, seconds: float) -> int:
        """Have a provider refuse connections for a while; returns the attempts burnt on it."""
        began = datetime.now(UTC)
        await self.system.faults(provider, _AWAY)
        await asyncio.sleep(seconds)
        burnt = await self._attempts(provider, began)
        await Behaviour().usual(self.system)
        self.faults.append(Fault("unreachable", began.timestamp(), time.time(), provider))
        return burnt

    async def _attempts(self, provider: str, since: datetime) -> int:
        changed = self.system.store["messages"].find({"changedAt": {"$gte": since}})
        return sum(
            each["provider"] == provider and each["at"] >= since
            for document in await changed.to_list(None)
            for each in document.get("attempts", {}).values()
        )

    async def back_at(self, rate: float) -> float:
        """Seconds until this rate is reached again."""
        began = time.monotonic()

        def fast() -> bool:
            return self.rate(_SMOOTHED_S) >= FULL * rate

        await until(fast, 60)
        return time.monotonic() - began

    def expired(self) -> int:
        """How many ended because they were too late."""
        return sum(bool(self.system.events.first(each, "sms.expired")) for each in self.bulk)

    async def conserved(self, purged: int = 0) -> dict[str, Command]:
        """What has a record; with what was purged it is all that was published."""
        ids = {"_id": {"$regex": f"^{self.prefix}-(bulk|dying)-"}}
        found = await self.system.store["messages"].find(ids, {"_id": 1}).to_list(None)
        assert len(found) + purged == len(self.bulk)
        return {each["_id"]: self.bulk[each["_id"]] for each in found}

    def report(self) -> str:
        """Over time: what waits, what goes out, and the memory of each worker in MiB."""
        first = self.samples[0].at
        head = ("second", "waiting", "parked", "taken", *(n for n, _ in self.system.workers()))
        rows = [
            (round(each.at - first), each.waiting, each.parked, each.taken, *_mib(each.workers))
            for each in self.samples[:: max(1, len(self.samples) // 20)]
        ]
        took = self.codes_took_s()
        half = took[len(took) // 2]
        codes = f"one-time codes: {len(took)}, p50 {half:.2f} s, p99 {p99(took):.2f} s"
        return "\n".join([table(head, rows), codes, chart("taken per second", self._rates())])

    def _rates(self) -> list[tuple[str, float]]:
        first, last = self.samples[0].at, self.samples[-1].at
        step = max(1.0, (last - first) / 40)
        times = [first + step * n for n in range(int((last - first) / step))]
        return [(f"{at - first:>4.0f} s", self.journals.rate(at, at + step)) for at in times]


def _mib(workers: Sequence[Resources]) -> list[str]:
    return [f"{each.resident_kib / 1024:.0f}" for each in workers]


def p99(took: Sequence[float]) -> float:
    """Of sorted times."""
    return quantiles(took, n=100)[98]
