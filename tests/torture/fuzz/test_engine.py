"""The fuzzer finds what is there, repeats it, makes it small, and goes on where it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.torture.fuzz import corpus, run_state
from tests.torture.fuzz.batch import Batch, run
from tests.torture.fuzz.campaign import Campaign, plan, smallest
from tests.torture.fuzz.run_state import RunState
from tests.torture.fuzz.table import TARGETS
from tests.torture.fuzz.target import Target, Violation, must
from tests.torture.fuzz.watch import Failure, watched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED: Final = b'{"name": "value", "list": [1, 2, 3]}'


def target(check: Callable[[bytes], str], share: int = 1) -> Target:
    return Target("made-up", "bytes", "what the test says", check, lambda: [SEED], share)


def is_no_null(data: bytes) -> str:
    must(b"null" not in data, "there is no null", data)
    return "list" if b"[" in data else "refused"


def loops(data: bytes) -> str:
    while True:
        data = data[:]


class Work:
    """A check whose time grows with the square of its input, on a clock of its own."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self) -> float:
        return self.seconds

    def is_quadratic(self, data: bytes) -> str:
        self.seconds += 1e-8 * len(data) ** 2
        return "taken"


def test_a_broken_rule_is_found_and_made_small() -> None:
    result = run(target(is_no_null), Batch("made-up", 1, 0, 2_000))
    assert list(result.failures) == ["there is no null"]
    failure = result.failures["there is no null"]
    assert smallest(target(is_no_null), failure).data == b"null"


def test_another_exception_is_a_violation_that_names_its_place() -> None:
    seen = watched(target(lambda data: str(data[400])), SEED)
    assert isinstance(seen, Failure)
    assert seen.rule == "no other exception: IndexError at <lambda>"


def test_a_check_without_an_end_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.torture.fuzz.watch.LONGEST_S", 0.05)
    seen = watched(target(loops), SEED)
    assert isinstance(seen, Failure)
    assert seen.rule == "a check comes to an end"


def test_quadratic_time_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    monkeypatch.setattr("tests.torture.fuzz.watch.thread_time", work.time)
    seen = watched(target(work.is_quadratic), bytes(7_000))
    assert isinstance(seen, Failure)
    assert seen.rule == "the time is linear in the length"
    assert watched(target(work.is_quadratic), bytes(200)) == "taken"


def test_a_batch_is_the_same_in_every_run() -> None:
    checked: list[bytes] = []

    def noted(data: bytes) -> str:
        checked.append(data)
        return is_no_null(data)

    run(target(noted), Batch("made-up", 7, 3, 500))
    first, checked = checked, []
    run(target(noted), Batch("made-up", 7, 3, 500))
    assert checked == first
    assert len(set(first)) > 400


def test_a_plan_gives_every_target_its_share() -> None:
    targets = [target(is_no_null), target(is_no_null, share=3)]
    batches = plan(40_000, 1, targets)
    assert sum(batch.inputs for batch in batches) == 40_000
    assert [batch.number for batch in batches][:5] == [0, 0, 1, 1, 2]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Target:
    made_up = target(is_no_null)
    monkeypatch.setitem(TARGETS, "made-up", made_up)
    return made_up


@pytest.mark.usefixtures("known")
def test_a_failure_becomes_a_case_with_the_command_that_repeats_it(tmp_path: Path) -> None:
    said: list[str] = []
    run_ = Campaign([], RunState("r"), tmp_path / "p", tmp_path / "cases", said.append)
    batch = Batch("made-up", 1, 0, 2_000)
    result = run(TARGETS["made-up"], batch)
    run_._take(batch, result, 1.0)
    run_._take(batch, result, 1.0)
    kept = list(corpus.cases("made-up", tmp_path / "cases"))
    assert [data for _, data in kept] == [b"null"]
    assert len(said) == 1
    assert f"--target made-up --case {tmp_path}/cases/made-up/{kept[0][0]}" in said[0]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path, known: Target) -> None:
    batches = plan(10_000, 1, [known])
    file = tmp_path / "fuzz.json"
    begun = RunState("r")
    begun.add(batches[0], run(known, batches[0]), 1.0)
    run_state.save(begun, file)
    again = run_state.load("r", file)
    assert [again.has(batch) for batch in batches] == [True, False, False]
    assert again.total().inputs == batches[0].inputs
    assert run_state.load("another", file).done == []


def test_a_run_is_of_the_code_it_tests() -> None:
    assert run_state.run_of(1, 1, ["a"]) == run_state.run_of(1, 1, ["a"])
    assert run_state.run_of(1, 1, ["a"]) != run_state.run_of(1, 2, ["a"])


def test_a_violation_tells_its_rule_first() -> None:
    with pytest.raises(Violation, match=r"^a rule: 5$"):
        must(holds=False, rule="a rule", detail=5)
