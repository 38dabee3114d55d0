"""Every target holds for every kept case, for its seeds and for some of what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.torture.fuzz import corpus
from tests.torture.fuzz.__main__ import main
from tests.torture.fuzz.batch import Batch, run, seeds
from tests.torture.fuzz.table import TARGETS
from tests.torture.fuzz.watch import Failure, watched

if TYPE_CHECKING:
    from tests.torture.fuzz.target import Target

CASES: Final = [(target, name, data) for target in TARGETS for name, data in corpus.cases(target)]
FEW: Final = 10_000
"""Inputs of all targets together that `make test` tries."""
LEAST_BEHAVIOURS: Final = 8
"""A target that shows fewer tests nothing."""


@pytest.mark.parametrize(("target", "name", "data"), CASES)
def test_a_case_that_failed_once_holds(target: str, name: str, data: bytes) -> None:
    seen = watched(TARGETS[target], data)
    assert not isinstance(seen, Failure), f"{name}: {seen}"


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_target_holds_for_some_inputs(target: Target) -> None:
    shares = sum(each.share for each in TARGETS.values())
    inputs = max(FEW * target.share // shares, len(seeds(target)) + 100)
    result = run(target, Batch(target.name, 1, 0, inputs))
    assert [(each.rule, each.detail, each.data[:300]) for each in result.failures.values()] == []
    assert result.inputs == inputs
    assert len(result.behaviours) >= LEAST_BEHAVIOURS


@pytest.mark.torture
@pytest.mark.timeout(1_800)
def test_a_million_inputs_break_no_rule() -> None:
    assert main(["--inputs", "1000000", "--seed", "1"]) == 0
