"""What a gate still needs: the words say the same as the numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.fakes import EPOCH, snapshot
from worker.domain.migration import missing
from worker.domain.migration.gates import Measures, lock_gate, requirement_gates, time_gate
from worker.domain.migration.missing import Missing
from worker.domain.migration.move_gates import in_words
from worker.domain.migration.phases import Requirements
from worker.domain.migration.snapshot import Lock

WANTED = Requirements(95.0, 3_000.0, 2.0, 98.0)
FEW = Measures(accepted=60, p95_ms=100.0, delivered=40, judged=40, per_s=0.1)


def test_a_count_is_told_with_the_time_it_takes() -> None:
    words = "50 outcomes, about 5.0 min at the present rate"
    assert missing.counted(50, 1 / 6) == Missing(words, 50, pytest.approx(300.0))


def test_while_nothing_comes_the_time_is_not_known() -> None:
    assert missing.counted(93, 0.0) == Missing("93 outcomes; none come at present", 93, None)
    words = "about 73 messages without a failure; none come at present"
    assert missing.estimated(73, 0.0, without_failure=True) == Missing(words, 73, None)


@pytest.mark.parametrize(
    ("messages", "per_s", "time"),
    [(780, 1.3, "10 min"), (500, 0.01, "14 h"), (20, 20 / 86_400 / 3, "3.0 days")],
)
def test_an_estimate_is_told_in_the_unit_that_people_use(
    messages: int, per_s: float, time: str
) -> None:
    made = missing.estimated(messages, per_s, without_failure=False)
    assert made.words == f"about {messages} messages, {time} at the present rate"
    assert (made.outcomes, made.seconds) == (messages, pytest.approx(messages / per_s))


def test_the_gate_of_time_opens_when_its_seconds_have_passed() -> None:
    since, minimum = EPOCH, timedelta(minutes=30)
    gate = time_gate(since, EPOCH + timedelta(minutes=10), minimum)
    assert gate.missing == Missing("20.0 min", seconds=1_200.0)
    later = EPOCH + timedelta(minutes=10, seconds=gate.missing.seconds or 0.0)
    assert time_gate(since, later, minimum).open


@pytest.mark.parametrize(
    ("until", "seconds"), [(EPOCH + timedelta(minutes=5), 300.0), (None, None)]
)
def test_a_lock_says_how_long_it_lasts_where_it_ends_by_itself(
    until: object, seconds: float | None
) -> None:
    gate = lock_gate(Lock(until, "failed"), EPOCH)  # type: ignore[arg-type]
    assert gate.missing is not None
    assert (gate.open, gate.missing.seconds) == (False, seconds)


def test_a_lock_that_ended_is_open() -> None:
    assert lock_gate(Lock(EPOCH, "failed"), EPOCH).open


def test_each_gate_of_a_small_sample_says_how_many_more_it_needs() -> None:
    gates = requirement_gates(WANTED, FEW)
    counts = {str(gate.name): gate.missing.outcomes for gate in gates if gate.missing}
    assert counts == {"success": 40, "errors": 40, "response": 40, "delivery": 60}


def test_a_response_time_that_is_not_known_never_asks_for_less_than_nothing() -> None:
    gates = requirement_gates(WANTED, replace(FEW, accepted=500, p95_ms=None))
    (response,) = [gate for gate in gates if gate.name == "response"]
    assert response.missing is not None
    assert response.missing.outcomes == 0


def test_the_words_of_a_gate_end_with_what_is_missing() -> None:
    since = snapshot(25).since or EPOCH
    gate = time_gate(since, since, timedelta(minutes=30))
    assert in_words([gate]).endswith("measured 0.0 min; missing 30.0 min)")
