"""Runs many histories on every core, and tells those that break something.

    python -m tests.torture.simulation --histories 100000

It goes on where an earlier run was stopped; `--anew` begins again. A failing history is shrunk and
told; `python -m tests.torture.simulation --tell NUMBER` tells it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.torture.progress import Progress
from tests.torture.simulation import batch
from tests.torture.simulation.draw import draw
from tests.torture.simulation.verdict import told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

STATE: Final = Path(".local/torture/histories.json")
_MOST_TOLD: Final = 3
"""Failing histories that are told; the others are named."""
_ENVIRONMENT: Final = {**os.environ, "PYTHONHASHSEED": "0"}


async def lines(first: int, count: int, step: int) -> AsyncIterator[dict[str, Any]]:
    """What a batch says."""
    words = map(str, (first, count, step))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", batch.__name__, *words,
        stdout=asyncio.subprocess.PIPE, env=_ENVIRONMENT,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        async for line in child.stdout:
            yield json.loads(line)
        if await child.wait():
            raise RuntimeError(f"a batch ended with exit code {child.returncode}")
    finally:
        if child.returncode is None:
            child.kill()


class Run:
    """A run over many histories, in batches side by side.

    Args:
        histories: how many there are.
        jobs: how many batches run side by side.
        anew: whether to begin again.
    """

    def __init__(self, histories: int, jobs: int, *, anew: bool) -> None:
        self._histories = histories
        self._jobs = jobs
        known = json.loads(STATE.read_text()) if STATE.exists() and not anew else {}
        fits = known.get("jobs") == jobs
        self.done: list[int] = known["done"] if fits else [0] * jobs
        self.failing: list[int] = known["failing"] if fits else []
        self._progress = Progress("histories", histories, sum(self.done))
        self._progress.violations = len(self.failing)

    async def go(self) -> None:
        """Run all that are left."""
        await asyncio.gather(*(self._batch(job) for job in range(self._jobs)))
        self._progress.end()

    async def _batch(self, job: int) -> None:
        total = len(range(job, self._histories, self._jobs))
        first = job + self.done[job] * self._jobs
        async for line in lines(first, total - self.done[job], self._jobs):
            if "number" in line:
                self.failing.append(line["number"])
                self._progress.violations += 1
            else:
                self.done[job] += line["done"]
                self._progress.add(line["done"])
            self._keep()

    def _keep(self) -> None:
        STATE.parent.mkdir(parents=True, exist_ok=True)
        known = {"jobs": self._jobs, "done": self.done, "failing": self.failing}
        STATE.write_text(json.dumps(known))


def tell(numbers: Sequence[int]) -> None:
    """Tell failing histories."""
    for number in numbers[:_MOST_TOLD]:
        print(*told(draw(number)), sep="\n")
        print(f"again: python -m tests.torture.simulation --tell {number}\n")
    for number in numbers[_MOST_TOLD:]:
        print(f"history {number} breaks something too")


def main() -> int:
    """See the module; the exit code is 0 only if nothing was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=100_000, help="how many histories")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="batches side by side")
    parser.add_argument("--anew", action="store_true", help="begin again")
    parser.add_argument("--tell", type=int, help="tell one history")
    given = parser.parse_args()
    batch.silence()
    if given.tell is not None:
        tell([given.tell])
        return 0
    run = Run(given.histories, given.jobs, anew=given.anew)
    asyncio.run(run.go())
    tell(sorted(run.failing))
    return 1 if run.failing else 0


if __name__ == "__main__":
    sys.exit(main())
