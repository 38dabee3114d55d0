"""Runs: every policy over the same traffic, in two processes, with progress.

Rules: what is found is counted from the onset of the trouble; an alarm that already stands then
counts as found at once, which flatters the rules that raise many. A run ends with the case, or when
every policy has acted.
"""

from __future__ import annotations

import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.evidence_policies import EVIDENCE, RULES, ByEvidence, end_of_minute
from tests.bench.evidence_traffic import MINUTE, Case, Traffic
from worker.domain.detection.automatic_rollback import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

PROCESSES = 2
CHUNK = 10


@dataclass(frozen=True)
class Found:
    """When a policy acted, from the onset on; never: infinite."""

    minutes: float = math.inf
    messages: float = math.inf
    """Of the target."""

    @property
    def ever(self) -> bool:
        return self.minutes < math.inf


@dataclass
class Run:
    """What the policies did with one traffic."""

    down: dict[str, Found] = field(default_factory=dict)
    """Traffic taken from the target, by policy."""
    held: Found = field(default_factory=Found)
    """The evidence held for common trouble."""
    stepped: bool = False
    """The evidence went down by a step, not all the way."""


def run(case: Case, seed: int) -> Run:
    """One traffic, every policy."""
    traffic = Traffic(case, seed)
    each = traffic.target.failed + traffic.target.again + traffic.target.good
    sent = [0, *each.cumsum().tolist()]

    def found(at: int) -> Found:
        return Found((at + 1 - case.onset) / MINUTE, sent[at + 1] - sent[case.onset])

    result = Run({name: _first(rule(traffic), case, found) for name, rule in RULES.items()})
    _evidence(case, traffic, found, result)
    return result


def _first(looks: Iterator[bool], case: Case, found: Callable[[int], Found]) -> Found:
    begin = case.onset // MINUTE
    for minute, acts in enumerate(looks):
        if acts and minute >= begin:
            return found(end_of_minute(minute))
    return Found()


def _evidence(case: Case, traffic: Traffic, found: Callable[[int], Found], result: Run) -> None:
    policy, result.down[EVIDENCE] = ByEvidence(case), Found()
    for at, tick in enumerate(traffic.ticks()):
        judgement = policy.look(tick)
        if at < case.onset and not judgement.action.down:
            continue
        if judgement.action.down:
            result.down[EVIDENCE] = found(at)
            result.stepped = judgement.action is Action.STEP_BACK
            return
        common = judgement.reason.startswith("hold: common trouble")
        if common and not result.held.ever:
            result.held = found(at)


@dataclass(frozen=True)
class Job:
    """Something to do with each seed of a case."""

    name: str
    work: Callable[[Any, int], Any]
    case: Any
    runs: int


def work_off(jobs: Sequence[Job], processes: int = PROCESSES) -> dict[str, list[Any]]:
    """Results by the name of the job, in the order of seeds; a line is printed for each."""
    results: dict[str, list[Any]] = {}
    with ProcessPoolExecutor(processes) as pool:
        waiting = [(job, _submitted(pool, job)) for job in jobs]
        for number, (job, futures) in enumerate(waiting, 1):
            began = time.monotonic()
            label = f"[{number:>2}/{len(jobs)}] {job.name}"
            _progress(label, job.runs, futures)
            results[job.name] = [each for future in futures for each in future.result()]
            took = time.monotonic() - began
            print(f"{_fresh()}{label}: {job.runs} runs, {took:.0f} s more", flush=True)
    return results


def _submitted(pool: ProcessPoolExecutor, job: Job) -> list[Any]:
    starts = range(0, job.runs, CHUNK)
    return [pool.submit(_chunk, job, range(at, min(at + CHUNK, job.runs))) for at in starts]


def _chunk(job: Job, seeds: Iterable[int]) -> list[Any]:
    return [job.work(job.case, seed) for seed in seeds]


def _progress(label: str, runs: int, futures: list[Any]) -> None:
    """A counter on a terminal; elsewhere nothing but the lines of what is done."""
    done = 0
    for _ in as_completed(futures):
        done = min(runs, done + CHUNK)
        if sys.stdout.isatty():
            print(f"{_fresh()}{label}: {done} of {runs}", end="", flush=True)


def _fresh() -> str:
    return "\r\x1b[K" if sys.stdout.isatty() else ""
