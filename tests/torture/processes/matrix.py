"""The crash matrix: every point x (first, nth) x what the providers do, real processes and servers.

    python -m tests.torture.processes.matrix                  all cells, resumed where they ended
    python -m tests.torture.processes.matrix CELL [CELL ...]  these cells again

Rules:
- First each story is played once without a fault, and the points that it passes are noted. They are
  its cells (`cells`).
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

from tests.torture.processes import servers
from tests.torture.processes.cell import Cell, Play
from tests.torture.processes.cells import Passes, cells
from tests.torture.processes.children import Nursery
from tests.torture.processes.results import Results
from tests.torture.processes.stories import BY_NAME as STORY
from tests.torture.processes.stories import STORIES, Story
from tests.torture.processes.world import World
from worker.lab.local.parts import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

WORLDS: Final = 14
"""Most of a cell is waiting for a lease or a retry tier."""
FOLDER: Final = ROOT / ".local" / "torture"


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
        passed: dict[str, Passes] = {}

        async def record(world: World, story: Story) -> None:
            notes = folder / f"{story.name}.passed"
            problems = await Play(world, story, f"plain-{story.name}").recorded(notes)
            if problems:
                raise AssertionError(f"{story.name} without a fault: {problems}")
            passed[story.name] = Counter(notes.read_text().split())

        await self._share(deque(STORIES), record)
        return cells(passed)

    async def run(self, given: Iterable[Cell]) -> None:
        """Run cells."""
        numbered = deque(enumerate(given))

        async def run(world: World, numbered: tuple[int, Cell]) -> None:
            number, cell = numbered
            began = time.monotonic()
            play = Play(world, STORY[cell.story], f"c{number}")
            self._results.note(cell, await play.broken(cell), time.monotonic() - began)

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
            chosen = [Cell.read(name) for name in names]
        else:
            results.read()
            chosen = await matrix.record(FOLDER / "run")
        results.total = len(chosen)
        await matrix.run(cell for cell in chosen if str(cell) not in results.held)
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
