"""What the processes hold over a long time, and whether it grows.

Rules: the first third of a run is its warm-up. The last third is compared with the second: memory
by its mean, counts by their median with a little room, because a sample may fall into a burst.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import mean, median
from typing import TYPE_CHECKING, Final

from tests.support.scraped import Scraped
from tests.torture.network.chart import chart, table
from tests.torture.network.resources import Resources
from worker.lab.local.record import read_record
from worker.telemetry import instruments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.whole_system import System
    from tests.torture.network.behind_proxies import Network

MEMORY: Final = 1.05
"""The most memory of the last third, by that of the second."""
COUNTS: Final = 1.05
ROOM: Final = 3
"""The most that a count may be higher in the last third: this share, and so many."""
_KIB: Final = 1024


@dataclass(frozen=True)
class Sample:
    """Figures of one moment, by name: `replica-1 MiB`, `replica-1 tasks`, `channels`..."""

    at: float
    figures: dict[str, float]


@dataclass
class Growth:
    """Samples of a run, oldest first."""

    samples: list[Sample] = field(default_factory=list)

    async def take(self, network: Network) -> Sample:
        """Take a sample of every worker, and of what the broker holds for them."""
        figures = dict(_of_processes(network.system))
        for name, _ in network.system.workers():
            shown = Scraped(
                await _said(network.system, f"{network.system.stack.http[name]}/metrics")
            )
            figures[f"{name} tasks"] = shown.value(instruments.TASKS)
        broker = await _said(network.system, f"http://{network.broker.metrics}/metrics")
        self.samples.append(Sample(time.monotonic(), figures | dict(_of_broker(broker))))
        return self.samples[-1]

    def grown(self) -> list[str]:
        """What the last third holds more of than the second; empty: nothing grew."""
        return [name for name in self._names() if self._has_grown(name)]

    def _names(self) -> Sequence[str]:
        return list(self.samples[0].figures)

    def _has_grown(self, name: str) -> bool:
        _, second, last = self._thirds(name)
        if name.endswith("MiB"):
            return mean(last) > MEMORY * mean(second)
        return median(last) > COUNTS * median(second) + ROOM

    def _thirds(self, name: str) -> tuple[list[float], list[float], list[float]]:
        figures = [sample.figures[name] for sample in self.samples]
        third = len(figures) // 3
        return figures[:third], figures[third : 2 * third], figures[2 * third :]

    def __str__(self) -> str:
        """Each figure by thirds, and memory over time."""
        head = ("figure", "first third", "second", "last")
        rows = [(name, *map(_middle, self._thirds(name))) for name in self._names()]
        charts = [self._over_time(name) for name in self._names() if name.endswith("MiB")]
        return "\n\n".join([table(head, rows), *charts])

    def _over_time(self, name: str) -> str:
        began = self.samples[0].at
        some = self.samples[:: max(1, len(self.samples) // 20)]
        rows = [(f"{(each.at - began) / 60:>5.1f} min", each.figures[name]) for each in some]
        return chart(name, rows)


def _middle(figures: Sequence[float]) -> str:
    return f"{mean(figures):.1f}" if figures else "-"


async def _said(system: System, url: str) -> str:
    async with system.http.get(url) as answer:
        return await answer.text()


def _of_processes(system: System) -> Iterator[tuple[str, float]]:
    """What the kernel says of the workers and the webhook."""
    record = read_record(system.stack.directory)
    for process in record.processes if record is not None else ():
        if process.name.startswith(("replica", "webhook")):
            held = Resources.of(process.pid)
            yield f"{process.name} MiB", held.resident_kib / _KIB
            yield f"{process.name} sockets", held.sockets
            yield f"{process.name} files", held.descriptors - held.sockets


def _of_broker(text: str) -> Iterator[tuple[str, float]]:
    wanted = {f"rabbitmq_{what}": what for what in ("channels", "connections")}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name in wanted:
            yield wanted[name], float(value)
