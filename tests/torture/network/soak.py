"""A long time under load with a fault in every round: is every promise kept, and does nothing grow?

Rules: traffic never ends; a round has messages of its own, and one fault. A round is judged when
its messages have come to their ends, while the next ones run, and then forgotten. Faults come in a
seeded order, each once before any comes again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.support.whole_system import PROVIDERS
from tests.torture.judge.facts import Fault
from tests.torture.judge.judge import judge
from tests.torture.judge.of_events import REPORTED
from tests.torture.network import flood, links, servers
from tests.torture.network.collected import of_messages
from tests.torture.network.growth import Growth
from tests.torture.network.journals import Journals
from tests.torture.network.providers import Behaviour
from tests.torture.network.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.judge.violations import Violation
    from tests.torture.network.behind_proxies import Network
    from tests.torture.network.case import Case

LOAD: Final = 0.6
"""Share of the capacity."""
ROUND_S: Final = 20.0
OPEN_S: Final = 5.0
"""Traffic waits where so many seconds of it are without an end."""
JUDGED_WITHIN_S: Final = 90.0
CAPACITY_OF: Final = 4_000
"""Messages by which the capacity is measured."""
BEHAVIOUR: Final = Behaviour(reports=True)
_LOOK_S: Final = 2.0
_SEED: Final = 20261127


@dataclass
class Round:
    """One fault and the messages of its time."""

    number: int
    case: Case
    traffic: Traffic
    faults: list[Fault] = field(default_factory=list)


class Soak:
    """Rounds until the time is over.

    Args:
        network: the system.
        rate: messages per second.
    """

    def __init__(self, network: Network, rate: float) -> None:
        self._network = network
        self._rate = rate
        self._journals = Journals(network.system)
        self._taken: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._judging: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()
        self.growth = Growth()
        self.violations: list[Violation] = []
        self.judged = 0
        """Messages of which every promise was looked at."""

    async def run(self, seconds: float) -> None:
        """Go through rounds for so long, and judge them all."""
        for number, case in enumerate(_faults()):
            if time.monotonic() - self._began >= seconds:
                break
            await self._round(number, case)
        await asyncio.gather(*self._judging)

    async def _round(self, number: int, case: Case) -> None:
        url = self._network.broker.urls["upstream"]
        most = int(self._rate * OPEN_S)
        system, prefix = self._network.system, f"soak-{number}"
        one = Round(number, case, Traffic(system, url, prefix, self._rate, most_open=most))
        ends_at = time.monotonic() + ROUND_S
        async with one.traffic.flowing():
            began = time.time()
            await case.fault(self._network)
            if case.blurs:
                one.faults.append(Fault(case.name, began, time.time() + 1))
            await asyncio.sleep(max(0.0, ends_at - time.monotonic()))
            await self._tell(one)
        task = asyncio.create_task(self._judge(one))
        self._judging.add(task)
        task.add_done_callback(self._judging.discard)

    async def _tell(self, one: Round) -> None:
        """Take a sample, and print a line of progress."""
        sample = await self.growth.take(self._network)
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        held = " ".join(f"{v:.0f}" for k, v in sample.figures.items() if k.endswith("MiB"))
        count = len(one.traffic.commands)
        print(
            f"{one.number:>3} {minutes:>3}:{seconds:02} {one.case.name:<42.42}"
            f"{count:>6} msgs {held:>8} MiB",
            flush=True,
        )

    async def _judge(self, one: Round) -> None:
        """Look until every promise is kept, or the time for it is over."""
        commands, until = one.traffic.commands, time.monotonic() + JUDGED_WITHIN_S
        found = await self._violations(one)
        while found and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)  # ends and reports are still to come
            found = await self._violations(one)
        if found:
            about = [each.about for each in found if each.about in commands]
            story = await self._network.system.story(about[:3], "\n".join(map(str, found[:10])))
            print(f"round {one.number}, {one.case.name}: {len(found)} violations\n{story}")
        self.violations += found
        self.judged += len(commands)
        self._forget(set(commands))

    async def _violations(self, one: Round) -> list[Violation]:
        for line in self._journals.news():
            self._taken[line["key"]].append(line)
        commands = one.traffic.commands
        taken = [line for ident in commands for line in self._taken.get(ident, ())]
        system = self._network.system
        facts = await of_messages(system, commands, one.faults, taken, reports=BEHAVIOUR.reports)
        found = judge(facts)
        if await reports_given_up(self._network):
            return [each for each in found if each.invariant != REPORTED]
        return found

    def _forget(self, idents: set[str]) -> None:
        system = self._network.system
        system.events.forget(idents)
        for ident in idents:
            system.sent.pop(ident, None)
            self._taken.pop(ident, None)


def _faults() -> Iterator[Case]:
    """Every case in a random order, again and again."""
    chance = random.Random(_SEED)
    every = [*links.cases(), *servers.cases(), *BEHAVIOUR.cases()]
    while True:
        yield from chance.sample(every, len(every))


async def capacity(network: Network) -> float:
    """Messages a second that the system takes when there are always more.

    Measured between the first and the last tenth, in which it gets going and runs dry.
    """
    now = time.time()
    given = list(flood.commands("capacity", CAPACITY_OF, now, now + 600))
    await flood.publish(network.broker.urls["upstream"], given)
    journals = Journals(network.system)
    while journals.count() < CAPACITY_OF:
        journals.news()
        await asyncio.sleep(0.1)
    times = sorted(at for each in journals.times.values() for at in each)
    first, last = CAPACITY_OF // 10, CAPACITY_OF * 9 // 10
    return (last - first) / (times[last] - times[first])


async def reports_given_up(network: Network) -> bool:
    """Whether the webhook did not take a report in time, so that nobody can tell of it."""
    system = network.system
    said = [await system.provider_says(each, "/reports/summary") for each in PROVIDERS]
    return any(each["given_up"] for each in said)
