"""Nothing moves without a cause: what looks like trouble of the target, and is none.

An operator's outage or dead numbers that both providers call by different names, traffic that
begins, delivery reports that are late, a restart. Calls are simulated (`calls_simulation`) and go
through the engine. Beside a case stands the same one with a target that is really dead, or loses
60 %: it has to be found, or the case would show nothing. What is only shown has no bar.
`PYTHONPATH=. python tests/bench/test_causes.py [RUNS]` prints the table alone.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from statistics import median

import pytest

from tests.bench.calls_moves import Traffic, moves
from tests.bench.calls_scene import DEADLINE_S
from tests.bench.calls_simulation import DEAD, Numbers, Stretch, Way

RUNS = 20
SHARES = (1, 5, 50)
HALF_AN_HOUR, HOUR = 1_800.0, 3_600.0
PER_S = 10.0
GRACE_S = 120.0
"""`RollbackGraceSeconds`: longer than the waits for the probes after 60 s (15, 30 and 60 s)."""
LOSSY = Way(losing=0.6)
SAYS = {"refused": Way(refusing=1.0), "failed": Way(failing=1.0), "lost": Way(losing=1.0)}
"""What a provider does with a number that nobody can reach: refuses it by the number's own fault,
fails as if by its own, or accepts the message and loses it."""
PAIRS = (("lost", "refused"), ("lost", "failed"), ("failed", "refused"), ("refused", "lost"))
"""What the target says, and what legacy says."""
UNKNOWABLE = ("failed", "lost")
"""For ten minutes nobody can know that legacy delivers nothing of it either."""
SHOWN = 3
"""Runs of a bar that is missed."""


@dataclass(frozen=True)
class Case:
    """Traffic, and whether it may be taken from the target."""

    name: str
    traffic: Traffic
    moves: bool | None = False
    """None: shown only."""


def an_operator(part: float, share: int) -> Case:
    """20 minutes; the operator has that part of the numbers."""
    numbers = Numbers(1 - part), Numbers(part, target=SAYS["lost"], legacy=SAYS["failed"])
    stretches = (
        Stretch(HALF_AN_HOUR, PER_S),
        Stretch(1_200.0, PER_S, numbers),
        Stretch(3_000.0, PER_S),
    )
    name = f"operator, {100 * part:.0f} %: target lost, legacy failed"
    return Case(name, Traffic(stretches, share, HALF_AN_HOUR))


def dead_numbers(part: float, pair: tuple[str, str], share: int) -> Case:
    """A campaign of 10 minutes, 50 messages a second more, of which a part goes to dead numbers."""
    more = 50.0
    dead, (target, legacy) = part * more / (PER_S + more), pair
    numbers = Numbers(1 - dead), Numbers(dead, target=SAYS[target], legacy=SAYS[legacy])
    stretches = (
        Stretch(HALF_AN_HOUR, PER_S),
        Stretch(600.0, PER_S + more, numbers),
        Stretch(HALF_AN_HOUR, PER_S),
    )
    name = f"dead numbers, {100 * part:.0f} %: target {target}, legacy {legacy}"
    traffic = Traffic(stretches, share, HALF_AN_HOUR)
    return Case(name, traffic, None if pair == UNKNOWABLE else False)


def traffic_begins(share: int) -> Case:
    """After silence; the usual failures of legacy are timeouts."""
    numbers = (Numbers(legacy=Way(late_s=DEADLINE_S)),)
    stretches = Stretch(60.0, 0.0), Stretch(600.0, 100.0, numbers)
    return Case("traffic begins, legacy fails by timeouts", Traffic(stretches, share, 60.0))


def late_reports(whose: str, per_s: float, share: int) -> Case:
    """Two hours of messages whose reports do not come in time."""
    stretches = (
        Stretch(HOUR, per_s),
        Stretch(2 * HOUR, per_s, reported=(False, whose != "both")),
        Stretch(2 * HOUR, per_s),
    )
    return Case(f"reports 2 h late, {whose}, {per_s:g}/s", Traffic(stretches, share, HOUR))


def a_restart(seconds: float, grace_s: float, share: int) -> Case:
    """Of the target, which refuses everything meanwhile."""
    stretches = (
        Stretch(HALF_AN_HOUR, PER_S),
        Stretch(seconds, PER_S, (Numbers(target=DEAD),)),
        Stretch(HOUR, PER_S),
    )
    traffic = Traffic(stretches, share, HALF_AN_HOUR, grace_s=grace_s)
    name = f"target restarts, {seconds:g} s; grace {grace_s:g} s"
    return Case(name, traffic, False if grace_s else None)


def with_bad_target(case: Case, what: str, target: Way) -> Case:
    """The same case with a target that does that to everybody from the onset on."""
    stretches, begins_s = [], 0.0
    for stretch in case.traffic.stretches:
        bad = tuple(replace(each, target=target) for each in stretch.numbers)
        late = begins_s >= case.traffic.begins_s
        stretches.append(replace(stretch, numbers=bad) if late else stretch)
        begins_s += stretch.seconds
    traffic = replace(case.traffic, stretches=tuple(stretches))
    return Case(f"- the same, and the target {what}", traffic, moves=True)


def dead(case: Case) -> Case:
    return with_bad_target(case, "is dead", DEAD)


def lossy(case: Case) -> Case:
    return with_bad_target(case, "loses 60 %", LOSSY)


def cases() -> list[Case]:
    """All, each before its counterparts."""
    found = []
    for share in SHARES:
        found += [an_operator(part, share) for part in (0.08, 0.15, 0.4)]
        found += [dead(found[-1]), lossy(found[-1])]
    for part in (0.3, 0.05):
        found += [dead_numbers(part, p, s) for p in (*PAIRS, UNKNOWABLE) for s in SHARES]
    for share in SHARES:
        campaign = dead_numbers(0.05, PAIRS[0], share)
        found += [dead(campaign), lossy(campaign)]
    for share in (5, 25, 50):
        begins = traffic_begins(share)
        found += [begins, dead(begins)]
    for whose in ("both", "target"):
        found += [late_reports(whose, per_s, s) for per_s in (0.3, PER_S) for s in (1, 5, 25)]
        late = late_reports(whose, PER_S, 5)
        found += [dead(late), lossy(late)]
    for share in SHARES:
        restarts = [a_restart(seconds, GRACE_S, share) for seconds in (20.0, 60.0)]
        found += [*restarts, dead(restarts[-1])]
        found += [a_restart(seconds, 0.0, share) for seconds in (20.0, 60.0)]
    return found


def measured(case: Case, runs: int) -> tuple[str, bool]:
    """The line of a case, and whether its bar is met."""
    began = time.monotonic()
    found = moves(case.traffic, runs)
    good = case.moves is None or len(found) == (runs if case.moves else 0)
    verdict = "shown" if case.moves is None else "met" if good else "MISSED"
    when = f"{median(each.after_s for each in found):.0f} s" if found else "-"
    line = (
        f"{case.name:<49} {case.traffic.share:>2} % {len(found):>2}/{runs} {when:>6} {verdict:<6}"
    )
    print(f"{line} {time.monotonic() - began:>3.0f} s", flush=True)
    for each in [] if good else found[:SHOWN]:
        print(f"  run {each.seed}, {each.after_s:.0f} s: {each.reason}", flush=True)
    return line, good


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.name}, {case.traffic.share} %")
def test_nothing_moves_without_a_cause(case: Case) -> None:
    line, good = measured(case, RUNS)
    assert good, line


if __name__ == "__main__":
    print(f"{'case':<49} share down  after bar    took")
    for each_case in cases():
        measured(each_case, int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
