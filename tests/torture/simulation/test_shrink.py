"""A failing scenario is shrunk to what it takes, and its story says who, when and what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.torture.judge import of_messages
from tests.torture.judge.violations import Violation
from tests.torture.simulation import verdict
from tests.torture.simulation.draw import draw
from tests.torture.simulation.scenario import Publish, Scenario
from tests.torture.simulation.shrink import shrink
from tests.torture.simulation.simulate import simulate
from tests.torture.simulation.story import Story

if TYPE_CHECKING:
    from collections.abc import Iterable

STEPS = tuple(Publish(float(n), f"m-{n}", "+260977100001", "bulk") for n in range(40))


def numbers(steps: Iterable[object]) -> set[int]:
    return {int(step.at) for step in steps if isinstance(step, Publish)}


@pytest.mark.parametrize("needed", [{7}, {0, 39}, {3, 4, 20}, set(range(0, 40, 5))])
def test_only_the_steps_that_it_takes_are_left(needed: set[int]) -> None:
    def fails(part: Scenario) -> bool:
        return needed <= numbers(part.steps)

    smallest = shrink(Scenario("x", STEPS), fails)
    assert numbers(smallest.steps) == needed


def test_the_story_of_a_failing_history_names_its_message_and_what_it_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Violation(of_messages.ONCE, "m-3", "taken twice")
    scenario = draw(1)
    with_it = {step.id for step in scenario.steps if isinstance(step, Publish)}
    assert "m-3" in with_it

    def broken(part: Scenario) -> list[Violation]:
        there = any(isinstance(step, Publish) and step.id == "m-3" for step in part.steps)
        return [found] if there else []

    monkeypatch.setattr(verdict, "violations", broken)
    monkeypatch.setattr(verdict, "judge", lambda _facts: [found])
    lines = list(verdict.told(scenario))
    text = "\n".join(lines)
    assert f"1 of {len(scenario.steps)} steps" in lines[0]
    assert "takes m-3" in text
    assert "m-4" not in text
    assert str(found) in lines[-1]


def test_the_same_scenario_is_told_the_same_way() -> None:
    """Byte for byte: every line of two runs in one process."""
    scenario = replace(draw(7), percentage=50)
    runs = []
    for _ in range(2):
        story = Story()
        facts = simulate(scenario, story)
        runs.append(([str(line) for line in story.lines], repr(facts)))
    assert runs[0] == runs[1]
