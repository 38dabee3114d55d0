"""One cell of the matrix: a story, a fault in one process, a fresh process, and the judge.

    taken/broker.ack.before@sms.send.bulk:3:kill      a fault at a point (`faults`)
    crowded/after:0.35:term                           a signal from outside, so many seconds later

Rules:
- The fault must happen, or the cell has shown nothing. What is killed ends by SIGKILL. What gets
  SIGTERM ends in time with exit code 0 and nothing in hand, or with 3 and a last line that says
  what it left. A call that hangs gets SIGTERM too, and cannot be finished.
- Then a fresh process runs until nothing is under way, and ends with exit code 0.
- Whatever the judge finds breaks the cell. SIGTERM is no excuse for an unknown message.
"""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tests.support.waiting import until
from tests.torture.judge.facts import Fault
from tests.torture.judge.judge import judge
from tests.torture.processes import at_rest, collect
from tests.torture.processes.faults import HANGS, Action
from tests.torture.processes.stories import BY_NAME, Story
from tests.torture.processes.world import STOP_WITHIN_S
from worker.broker.control_client import NoAnswer
from worker.cli.run import LEFT_UNDONE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator
    from pathlib import Path

    from tests.torture.processes.children import Child
    from tests.torture.processes.world import World

AFTER: Final = "after"
REST_WITHIN_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A story and a fault, as they are written."""

    story: str
    fault: str

    def __str__(self) -> str:
        """Its name, from which it can be read again."""
        return f"{self.story}/{self.fault}"

    @classmethod
    def read(cls, name: str) -> Self:
        """Read a name. Raises `ValueError`."""
        story, _, fault = name.partition("/")
        if story not in BY_NAME:
            raise ValueError(f"expected one of {', '.join(BY_NAME)}, got {story!r}")
        return cls(story, fault)

    @property
    def action(self) -> Action:
        """What the fault does."""
        return Action(self.fault.rpartition(":")[2])

    @property
    def after_s(self) -> float | None:
        """When the signal comes from outside; None: the process does it itself."""
        where, when, _ = self.fault.split(":")
        return float(when) if where == AFTER else None


class Play:
    """One run of a story in a world.

    Args:
        world: where.
        story: what happens.
        ident: begins the ids of its messages.
    """

    def __init__(self, world: World, story: Story, ident: str) -> None:
        self._world = world
        self._story = story
        self._ident = ident
        self._others: list[Child] = []
        self._started: list[Child] = []

    async def broken(self, cell: Cell) -> list[str]:
        """Play with the fault of a cell; returns what is wrong."""
        return await self._within_time(self._broken(cell))

    async def recorded(self, passed: Path) -> list[str]:
        """Play without a fault, and note which points are passed; returns what is wrong."""
        return await self._within_time(self._recorded(passed))

    async def _within_time(self, playing: Awaitable[list[str]]) -> list[str]:
        try:
            return await playing
        except (AssertionError, NoAnswer, TimeoutError) as error:
            return [f"not in time: {error}"]
        finally:
            await asyncio.gather(*(child.kill() for child in self._started if child.running))

    async def _broken(self, cell: Cell) -> list[str]:
        faulty = await self._begin("" if cell.after_s is not None else cell.fault)
        began = time.time()
        telling = asyncio.ensure_future(self._story.tell(self._world, self._ident))
        code = await self._end_of(faulty, telling, cell)
        held = await at_rest.in_hand(self._world)
        if cell.action is Action.KILL:
            wrong = [] if code == -signal.SIGKILL else [f"expected a kill, got exit code {code}"]
        else:
            wrong = list(_ended_badly(faulty, code, held))
        if cell.action is Action.HANG and not code:
            wrong.append("nothing was left, although a call hangs")
        faults = [Fault("left", began, time.time(), messages=held)] if code else []
        return wrong + await self._until_rest(await self._start(), telling, faults)

    async def _recorded(self, passed: Path) -> list[str]:
        process = await self._begin("", passed)
        telling = asyncio.ensure_future(self._story.tell(self._world, self._ident))
        return await self._until_rest(process, telling, [])

    async def _begin(self, faults: str, passed: Path | None = None) -> Child:
        """Start what the story needs; returns the process with the faults."""
        world, story = self._world, self._story
        world.forget()
        for provider, simulator in world.providers.items():
            simulator.set_faults([{"action": dict(story.manners[provider])}])
        world.reports = story.reports
        if story.faulty == "webhook":
            self._others.append(await world.worker())
        elif story.reports:
            self._others.append(await world.webhook())
        self._started += self._others
        return await self._start(faults, passed)

    async def _start(self, faults: str = "", passed: Path | None = None) -> Child:
        if self._story.faulty == "webhook":
            child = await self._world.webhook(faults, passed)
        else:
            child = await self._world.worker(faults, passed, self._story.profile)
        self._started.append(child)
        return child

    async def _end_of(self, faulty: Child, telling: asyncio.Future[None], cell: Cell) -> int:
        """Wait until the fault ends the process; at rest, SIGTERM brings the points of the end."""
        if cell.after_s is not None:
            await asyncio.sleep(cell.after_s)
            faulty.signal(signal.SIGKILL if cell.action is Action.KILL else signal.SIGTERM)
            return await faulty.wait(STOP_WITHIN_S)
        await until(
            lambda: not faulty.running or _hangs(faulty) or self._at_rest(telling),
            REST_WITHIN_S,
            faulty.log.read_text,
        )
        return await faulty.stop(STOP_WITHIN_S)

    async def _at_rest(self, telling: asyncio.Future[None]) -> bool:
        return telling.done() and not await at_rest.under_way(self._world)

    async def _until_rest(
        self, process: Child, telling: asyncio.Future[None], faults: list[Fault]
    ) -> list[str]:
        """Wait for rest, end all processes, and judge."""
        problems = []
        try:
            await until(lambda: self._at_rest(telling), REST_WITHIN_S)
            await telling
        except AssertionError:
            problems.append(f"still under way: {', '.join(await at_rest.under_way(self._world))}")
            telling.cancel()
        codes = [await child.stop(STOP_WITHIN_S) for child in (process, *self._others)]
        problems += [f"exit code {code} at rest" for code in codes if code]
        if self._story.hits:
            faults = [*faults, Fault("the provider closes", 0.0, time.time())]
        facts = await collect.facts(self._world, faults)
        return problems + [str(violation) for violation in judge(facts)]


def _hangs(child: Child) -> bool:
    return HANGS in child.log.read_text(encoding="utf-8")


def _ended_badly(child: Child, code: int, held: frozenset[str]) -> Iterator[str]:
    """What is wrong with the end of a process that got SIGTERM."""
    last = child.logged()[-1]
    left = last.get("left")
    if last["event"] != "stopped" or code not in (0, LEFT_UNDONE):
        yield f"exit code {code} after SIGTERM, and the last line is {last}"
    elif (code == LEFT_UNDONE) != bool(left):
        yield f"exit code {code}, although it left {left}"
    elif held and not left:
        yield f"exit code {code}, although it left {', '.join(sorted(held))} in hand"
