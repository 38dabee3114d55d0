"""What the gates on the evidence say is missing."""

from __future__ import annotations

import re

import pytest

from worker.domain.evidence import (
    BOUNDS,
    PROOF,
    Evidence,
    Setting,
    Side,
    Signal,
    Tick,
    low_proof,
    no_worse_proof,
    observe,
)
from worker.domain.evidence_gates import evidence_gates
from worker.domain.gates import Measures, Verdict
from worker.domain.likelihood import Seen

SHARE = 25
RATE = 0.005
PERHAPS_BAD = (((0.0,) * 5,) * 2, ((10.0,) * 5,), ((0.0,) * 5,))


def after(known: Evidence, messages: float, bound: float) -> Evidence:
    """So many messages of the target and three times as many of legacy, failing at `RATE`."""
    setting = Setting(SHARE, None, bounds=((bound, 2 * bound), *BOUNDS[1:]))
    sides = (Side(Seen(RATE * n, n)) for n in (messages, 3 * messages))
    return observe(known, Tick(0.0, *sides), setting)


def missing(known: Evidence, name: str) -> int:
    """Messages a gate says are missing."""
    gates = evidence_gates(Measures(evidence=known, per_s=1.0), SHARE)
    (gate,) = [gate for gate in gates if gate.name == name]
    assert gate.verdict is Verdict.NOT_ENOUGH
    found = re.match(r"about (\d+) messages", gate.missing or "")
    assert found, gate.missing
    return int(found[1])


@pytest.mark.parametrize("bound", [0.01, 0.02, 0.05])
def test_what_a_proof_misses_is_told_by_the_bound_in_force(bound: float) -> None:
    known, sent = after(Evidence(), 20.0, bound), 0
    said = missing(known, "failed proof")
    while low_proof(known, Signal.FAILED) < PROOF:
        known, sent = after(known, 1.0, bound), sent + 1
    assert said == pytest.approx(sent, abs=1)


@pytest.mark.parametrize("bound", [0.05, 0.5])
def test_what_a_comparison_misses_is_told_by_the_bound_in_force(bound: float) -> None:
    known, sent = after(Evidence(), 20.0, bound), 0
    said = missing(known, "failed comparison")
    while no_worse_proof(known, Signal.FAILED) < PROOF:
        known, sent = after(known, 1.0, bound), sent + 1
    assert said == pytest.approx(sent, rel=0.01)


def test_where_legacy_gives_no_reports_delivery_is_not_compared() -> None:
    measures = Measures(evidence=after(Evidence(), 100, 0.05), legacy_gives_reports=False)
    gates = {gate.name: gate for gate in evidence_gates(measures, SHARE)}
    assert gates["undelivered comparison"].verdict is Verdict.NOT_APPLICABLE
    assert gates["failed comparison"].verdict is Verdict.NOT_ENOUGH


def test_suspicion_short_of_an_alarm_shuts_the_way_up_and_is_named() -> None:
    half = Evidence(relative=((10.0,) * 6, (0.0,) * 6, (0.0,) * 6), absolute=PERHAPS_BAD)
    (alarm,) = [g for g in evidence_gates(Measures(evidence=half), SHARE) if g.name == "alarm"]
    assert alarm.verdict is Verdict.FAIL
    assert alarm.measured == "failed: worse than legacy, slow: bad in itself"
