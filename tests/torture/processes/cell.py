"""One cell of the matrix: a story, a fault in one process, a fresh process, and the judge.

Rules: the process with the fault must end by it, or the cell has shown nothing. Then a fresh one
runs until nothing is under way, and ends cleanly. Whatever the judge finds breaks the cell.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tests.support.waiting import until
from tests.torture.judge.facts import Fault
from tests.torture.judge.judge import judge
from tests.torture.processes import collect
from tests.torture.processes.stories import BY_NAME, Story
from tests.torture.processes.world import STOP_WITHIN_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.torture.processes.children import Child
    from tests.torture.processes.world import World

KILLED: Final = -9
REST_WITHIN_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A story and the faults of its process, as they are written in the environment."""

    story: str
    faults: str

    def __str__(self) -> str:
        """Its name, from which it can be read again."""
        return f"{self.story}/{self.faults}"

    @classmethod
    def read(cls, name: str) -> Self:
        """Read a name. Raises `ValueError`."""
        story, _, faults = name.partition("/")
        if story not in BY_NAME:
            raise ValueError(f"expected one of {', '.join(BY_NAME)}, got {story!r}")
        return cls(story, faults)


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

    async def killed(self, cell: Cell) -> list[str]:
        """Play with a fault that kills; returns what is wrong."""
        faulty = await self._begin(cell.faults)
        began = time.time()
        telling = asyncio.ensure_future(self._story.tell(self._world, self._ident))
        code = await self._end_of(faulty, telling)
        faults = [Fault("kill", began, time.time(), messages=await self._world.in_hand())]
        fresh = await self._start()
        problems = [] if code == KILLED else [f"the fault never happened: exit code {code}"]
        return problems + await self._until_rest(fresh, telling, faults)

    async def recorded(self, passed: Path) -> list[str]:
        """Play without a fault, and note which points are passed; returns what is wrong."""
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
        return await self._start(faults, passed)

    async def _start(self, faults: str = "", passed: Path | None = None) -> Child:
        world = self._world
        start = world.webhook if self._story.faulty == "webhook" else world.worker
        return await start(faults, passed)

    async def _end_of(self, faulty: Child, telling: asyncio.Future[None]) -> int:
        """Wait until the fault ends the process; at rest, SIGTERM brings the points of the end."""
        await until(
            lambda: not faulty.running or self._at_rest(telling),
            REST_WITHIN_S,
            faulty.log.read_text,
        )
        return await faulty.stop(STOP_WITHIN_S)

    async def _at_rest(self, telling: asyncio.Future[None]) -> bool:
        return telling.done() and await self._world.at_rest()

    async def _until_rest(
        self, process: Child, telling: asyncio.Future[None], faults: list[Fault]
    ) -> list[str]:
        """Wait for rest, end all processes, and judge."""
        problems = []
        try:
            await until(lambda: self._at_rest(telling), REST_WITHIN_S)
            await telling
        except AssertionError:
            problems.append(f"not at rest after {REST_WITHIN_S:g} s")
            telling.cancel()
        codes = [await child.stop(STOP_WITHIN_S) for child in (process, *self._others)]
        problems += [f"exit code {code} at rest" for code in codes if code]
        if self._story.hits:
            faults = [*faults, Fault("the provider closes", 0.0, time.time())]
        facts = await collect.facts(self._world, faults)
        return problems + [str(violation) for violation in judge(facts)]
