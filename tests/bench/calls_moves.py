"""What automation does about simulated calls: the first time that it takes traffic from the target.

Rules: every tick goes through the engine (`observe`, `judge`), as the monitor would take it.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from tests.bench.calls_simulation import AGE_S, Stretch, ticks
from tests.support.seeded import state_at
from worker.domain.detection.automatic_rollback import judge
from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.observing import observe
from worker.domain.migration.flags import Flags
from worker.domain.migration.phases import Role

PROCESSES = 2


@dataclass(frozen=True)
class Traffic:
    """What happens, and from when on a move is counted."""

    stretches: tuple[Stretch, ...]
    share: int
    begins_s: float = 0.0
    reports: bool = True
    """Whether target and legacy give delivery reports."""
    grace_s: float = 0.0
    """`RollbackGraceSeconds`."""
    by_start: bool = True
    """Whether the ticks have cohorts; else they have what ended alone."""


_SHORT = Traffic((Stretch(60.0, 1.0),), share=50)


@dataclass(frozen=True)
class Move:
    """Traffic is taken from the target."""

    seed: int
    after_s: float
    """Since it begins."""
    reason: str


def first_move(traffic: Traffic, seed: int) -> Move | None:
    """None: it never is."""
    state = replace(state_at(traffic.share), flags=Flags(rollback_grace_s=traffic.grace_s))
    setting = criteria_of(state, dict.fromkeys(Role, traffic.reports), AGE_S)
    known = Evidence()
    for tick in ticks(traffic.stretches, traffic.share, seed):
        read = tick if traffic.by_start else replace(tick, cohorts=None)
        known = observe(known, read, setting)
        found = judge(known, state)
        if found.action.down:
            return Move(seed, tick.at - traffic.begins_s, found.reason)
    return None


def moves(traffic: Traffic, runs: int) -> list[Move]:
    """Those of the runs in which there is one."""
    first_move(_SHORT, 0)  # compiled here, processes that are forked have it
    with ProcessPoolExecutor(PROCESSES) as pool:
        found = pool.map(partial(first_move, traffic), range(runs))
        return [each for each in found if each is not None]
