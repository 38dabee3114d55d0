"""What the gates on the evidence say is missing."""

from __future__ import annotations

import re

import pytest

from worker.domain.detection.criteria import BOUNDS, Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.evidence_gates import evidence_gates
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.readings import PROOF, low_proof, no_worse_proof
from worker.domain.detection.sick_replica import SickReplica
from worker.domain.detection.signals import Signal
from worker.domain.detection.silence import DeliveryCounts
from worker.domain.detection.tick import ProviderTick, Tick
from worker.domain.migration.gates import GateVerdict, Measures
from worker.domain.migration.missing import only_words

SHARE = 25
RATE = 0.005
PERHAPS_BAD = (((0.0,) * 5,) * 2, ((10.0,) * 5,), ((0.0,) * 5,))


def after(known: Evidence, messages: float, bound: float) -> Evidence:
    """So many messages of the target and three times as many of legacy, failing at `RATE`."""
    setting = Criteria(SHARE, None, bounds=((bound, 2 * bound), *BOUNDS[1:]))
    sides = (ProviderTick(EventCounts(RATE * n, n)) for n in (messages, 3 * messages))
    return observe(known, Tick(0.0, *sides), setting)


def missing(known: Evidence, name: str) -> int:
    """Messages a gate says are missing."""
    gates = evidence_gates(Measures(evidence=known, per_s=1.0), SHARE)
    (gate,) = [gate for gate in gates if gate.name == name]
    assert gate.verdict is GateVerdict.NOT_ENOUGH
    assert gate.missing is not None
    assert gate.missing.outcomes is not None
    return gate.missing.outcomes


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
    assert said == pytest.approx(sent, rel=0.02)


def test_where_legacy_gives_no_reports_delivery_is_not_compared() -> None:
    measures = Measures(evidence=after(Evidence(), 100, 0.05), legacy_gives_reports=False)
    gates = {gate.name: gate for gate in evidence_gates(measures, SHARE)}
    assert gates["undelivered proof"].required == "at most 2 % not delivered, 20 to 1"
    assert gates["failed comparison"].verdict is GateVerdict.NOT_ENOUGH


def test_a_gate_says_in_plain_words_what_is_to_be_proved() -> None:
    gates = evidence_gates(Measures(evidence=after(Evidence(), 100, 0.05)), SHARE)
    required = {gate.name: gate.required for gate in gates}
    assert required["failed proof"] == "at most 5 % failed, 20 to 1"
    assert required["slow comparison"] == (
        "at most 2 points (or half) more slow than legacy, 20 to 1"
    )
    assert required["undelivered proof"] == (
        "at most 2 % not delivered, or at most 1 point (or half) more not delivered than legacy, "
        "20 to 1"
    )


@pytest.mark.parametrize("share", [1, 50])
def test_delivery_above_its_bound_passes_where_legacys_is_no_better(share: int) -> None:
    known, setting = Evidence(), Criteria(share, None)
    others = (100 - share) / share
    for _ in range(100):
        sides = (
            ProviderTick(judged=DeliveryCounts(2.0 * part, 50.0 * part, 49.0 * part))
            for part in (1.0, others)
        )
        known = observe(known, Tick(0.0, *sides), setting)
    gates = {g.name: g for g in evidence_gates(Measures(evidence=known), share)}
    assert gates["undelivered proof"].verdict is GateVerdict.PASS
    alone = {
        g.name: g
        for g in evidence_gates(Measures(evidence=known, legacy_gives_reports=False), share)
    }
    assert alone["undelivered proof"].verdict is GateVerdict.NOT_ENOUGH


def test_suspicion_short_of_an_alarm_shuts_the_way_up_and_is_named() -> None:
    half = Evidence(relative=((10.0,) * 6, (0.0,) * 6, (0.0,) * 6), absolute=PERHAPS_BAD)
    (alarm,) = [g for g in evidence_gates(Measures(evidence=half), SHARE) if g.name == "alarm"]
    assert alarm.verdict is GateVerdict.FAIL
    assert alarm.measured == "failed: worse than legacy, slow: bad in itself"


@pytest.mark.parametrize(("per_day", "unit"), [(20_000, "min"), (500, "h"), (20, "days")])
def test_what_is_missing_is_told_in_the_time_it_takes_at_the_rate_of_late(
    per_day: float, unit: str
) -> None:
    known = after(Evidence(), 20.0, 0.05)
    gates = evidence_gates(Measures(evidence=known, per_s=per_day / 86_400), SHARE)
    (gate,) = [gate for gate in gates if gate.name == "failed proof"]
    found = re.fullmatch(
        r"about (\d+) messages, ([\d.]+) (\w+) at the present rate",
        gate.missing.words if gate.missing else "",
    )
    assert found, gate.missing
    days = {"min": 1_440.0, "h": 24.0, "days": 1.0}[unit]
    assert found[3] == unit
    assert float(found[2]) == pytest.approx(float(found[1]) / per_day * days, abs=0.6)


def test_the_gate_of_the_alarm_names_a_sick_replica_while_it_is_shut() -> None:
    sick, suspected = SickReplica("0123456789abcdef", 50, 50, 2, 100), ((10.0,) * 6,) * 3
    known = [Evidence(sick_replica=sick, relative=suspected), Evidence(sick_replica=sick)]
    gates = [evidence_gates(Measures(evidence=each), SHARE)[0] for each in known]
    assert [gate.missing for gate in gates] == [only_words(sick.words), None]
