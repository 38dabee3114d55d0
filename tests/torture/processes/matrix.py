"""The crash matrix: every point x (first, nth) x what the providers do, real processes and servers.

    python -m tests.torture.processes.matrix                  all cells, resumed where they ended
    python -m tests.torture.processes.matrix CELL [CELL ...]  these cells again

Rules:
- First each story is played once without a fault, and the points that it passes are noted. They are
  its cells: each at the first and at a later pass, in each queue's hands.
- Cells run in several worlds at the same time. A world plays one cell after the other.
- A finished cell is written to `.local/torture/matrix.jsonl` with a hash of the sources. The next
  run of the same sources leaves out what held.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import shutil
import sys
import time
from collections import Counter, deque
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.torture.points import BY_NAME
from tests.torture.processes import servers
from tests.torture.processes.cell import Cell, Play
from tests.torture.processes.children import Nursery
from tests.torture.processes.results import Results
from tests.torture.processes.stories import BY_NAME as STORY
from tests.torture.processes.stories import STORIES, Story
from tests.torture.processes.world import World
from worker.lab.local.parts import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

WORLDS: Final = 10
LATER: Final = 3
"""The later pass at which a fault happens, where a point is passed as often."""
FOLDER: Final = ROOT / ".local" / "torture"


def cells_of(story: Story, passes: Mapping[str, int]) -> Iterator[Cell]:
    """The cells of a story, given how often each of its points was passed."""
    for point, count in sorted(passes.items()):
        if _belongs(story, point):
            # What no delivery passes comes by the clock: only much of it comes again for sure.
            later = min(count, LATER) if not point.endswith("@") or count > 2 * LATER else 1
            for nth in sorted({1, later}):
                yield Cell(story.name, f"{point.removesuffix('@')}:{nth}:kill")


def _belongs(story: Story, point: str) -> bool:
    """Whether a point is of a life that the story is about."""
    operation = BY_NAME[point.partition("@")[0].rpartition(".")[0]]
    return bool(operation.lives & story.lives)


class Matrix:
    """Runs cells in several worlds.

    Args:
        worlds: all alike.
        results: where each is noted.
    """

    def __init__(self, worlds: Sequence[World], results: Results) -> None:
        self._worlds = worlds
        self._results = results

    async def record(self, folder: Path) -> list[Cell]:
        """Play each story without a fault; returns all cells. The folder is for notes."""
        found: dict[str, list[Cell]] = {}

        async def record(world: World, story: Story) -> None:
            passed = folder / f"{story.name}.passed"
            problems = await Play(world, story, f"plain-{story.name}").recorded(passed)
            if problems:
                raise AssertionError(f"{story.name} without a fault: {problems}")
            found[story.name] = list(cells_of(story, Counter(passed.read_text().split())))

        await self._share(deque(STORIES), record)
        return [cell for story in STORIES for cell in found[story.name]]

    async def run(self, cells: Iterable[Cell]) -> None:
        """Run cells."""
        numbered = deque(enumerate(cells))

        async def run(world: World, numbered: tuple[int, Cell]) -> None:
            number, cell = numbered
            began = time.monotonic()
            play = Play(world, STORY[cell.story], f"c{number}")
            self._results.note(cell, await play.killed(cell), time.monotonic() - began)

        await self._share(numbered, run)

    async def _share(self, work: deque[Any], do: Any) -> None:
        """Each world takes the next piece of work as soon as it is free."""

        async def keep_busy(world: World) -> None:
            while work:
                await do(world, work.popleft())

        async with asyncio.TaskGroup() as group:
            for world in self._worlds:
                group.create_task(keep_busy(world))


@asynccontextmanager
async def worlds(count: int, folder: Path) -> AsyncIterator[list[World]]:
    """Start the servers and so many worlds; the folder is for their files."""
    hosts = [f"world-{n}" for n in range(count)]
    async with AsyncExitStack() as stack:
        started = await stack.enter_async_context(servers.running(folder, hosts))
        nursery = await stack.enter_async_context(Nursery(folder / "logs"))
        opening = (World.running(host, started, nursery, folder) for host in hosts)
        built = await asyncio.gather(*map(stack.enter_async_context, opening))
        await built[0].begin()
        await asyncio.gather(*(world.begin_like(built[0]) for world in built[1:]))
        yield built


async def run(names: Sequence[str], count: int) -> Results:
    """Run the named cells, or all that are left, in so many worlds; returns the results."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = (FOLDER / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two runs would share the folder
    results = Results(FOLDER / "matrix.jsonl")
    shutil.rmtree(FOLDER / "run", ignore_errors=True)
    async with worlds(count, FOLDER / "run") as built:
        matrix = Matrix(built, results)
        if names:
            cells = [Cell.read(name) for name in names]
        else:
            results.read()
            cells = await matrix.record(FOLDER / "run")
        results.total = len(cells)
        await matrix.run(cell for cell in cells if str(cell) not in results.held)
    return results


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run the crash matrix.")
    parser.add_argument("cells", nargs="*", help="cells to run again; all that are left by default")
    parser.add_argument("--worlds", type=int, default=WORLDS, help="how many run at the same time")
    given = parser.parse_args()
    began = time.monotonic()
    results = asyncio.run(run(given.cells, given.worlds))
    took_s = time.monotonic() - began
    print(f"{len(results.held)} hold, {len(results.broken)} broken, {took_s:.0f} s")
    return 1 if results.broken else 0


if __name__ == "__main__":
    sys.exit(main())
