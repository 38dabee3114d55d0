"""Runs all batches of a run in some processes, keeps what they found, and tells how it goes."""

from __future__ import annotations

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import zip_longest
from time import process_time
from typing import TYPE_CHECKING, Final

from tests.torture.fuzz import corpus, run_state, shrink
from tests.torture.fuzz.batch import Batch, Result, run
from tests.torture.fuzz.table import TARGETS
from tests.torture.fuzz.watch import Failure, watched
from tests.torture.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.torture.fuzz.run_state import RunState
    from tests.torture.fuzz.target import Target

BATCH: Final = 4_000
"""Inputs of a batch."""


def plan(inputs: int, seed: int, targets: Sequence[Target]) -> list[Batch]:
    """All batches: each target gets at least its share, and all come on side by side."""
    shares = sum(target.share for target in targets)
    rows = [
        list(_batches(target.name, seed, math.ceil(inputs * target.share / shares)))
        for target in targets
    ]
    return [batch for column in zip_longest(*rows) for batch in column if batch]


def _batches(target: str, seed: int, inputs: int) -> Iterator[Batch]:
    for number, begins in enumerate(range(0, inputs, BATCH)):
        yield Batch(target, seed, number, min(BATCH, inputs - begins))


@dataclass(slots=True)
class Campaign:
    """One run.

    Args:
        batches: all of them, those of an earlier part of this run included.
        done: what was done before.
        file: where that is kept.
        cases: where failing inputs are kept.
        tell: takes lines for people.
    """

    batches: Sequence[Batch]
    done: RunState
    file: Path = run_state.FILE
    cases: Path = corpus.CASES
    tell: Callable[[str], None] = print
    _known: set[tuple[str, str]] = field(default_factory=set)
    """Targets and rules for which there is a case."""

    def run(self, jobs: int) -> RunState:
        """Run what is left."""
        left = [batch for batch in self.batches if not self.done.has(batch)]
        spawn = multiprocessing.get_context("spawn")
        planned = sum(batch.inputs for batch in self.batches)
        progress = Progress("inputs", planned, planned - sum(batch.inputs for batch in left))
        with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
            futures = {pool.submit(measured, batch): batch for batch in left}
            for future in as_completed(futures):
                batch = futures[future]
                self._take(batch, *future.result())
                progress.violations = self.done.total().violations
                progress.add(batch.inputs)
        progress.end()
        return self.done

    def _take(self, batch: Batch, result: Result, seconds: float) -> None:
        self.done.add(batch, result, seconds)
        run_state.save(self.done, self.file)
        for rule, failure in result.failures.items():
            if (batch.target, rule) not in self._known:
                self._known.add((batch.target, rule))
                self._keep(batch, failure)

    def _keep(self, batch: Batch, failure: Failure) -> None:
        """Make a failure small, keep it as a case, and say how to repeat it."""
        small = smallest(TARGETS[batch.target], failure)
        path = corpus.keep(batch.target, small, self.cases)
        self.tell(
            f"VIOLATION of {batch.target} (seed {batch.seed}, batch {batch.number})\n"
            f"  rule:   {small.rule}\n  input:  {small.data[:200]!r} ({len(small.data)} bytes)\n"
            f"  repeat: python -m tests.torture.fuzz --target {batch.target} --case {path}"
        )


def measured(batch: Batch) -> tuple[Result, float]:
    """Run a batch; return what became of it and its CPU seconds."""
    begins = process_time()
    return run(TARGETS[batch.target], batch), process_time() - begins


def smallest(target: Target, failure: Failure) -> Failure:
    """The smallest input found that breaks the same rule."""

    def fails(data: bytes) -> bool:
        seen = watched(target, data)
        return isinstance(seen, Failure) and seen.rule == failure.rule

    seen = watched(target, shrink.shrunk(failure.data, fails))
    return seen if isinstance(seen, Failure) else failure
