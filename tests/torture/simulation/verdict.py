"""Runs and judges one history, and tells a failing one as a story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.torture.judge.judge import judge
from tests.torture.simulation.scenario import Publish
from tests.torture.simulation.shrink import shrink
from tests.torture.simulation.simulate import simulate
from tests.torture.simulation.story import Story

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.judge.violations import Violation
    from tests.torture.simulation.scenario import Scenario


def violations(scenario: Scenario) -> list[Violation]:
    """What a history breaks; empty: nothing."""
    return judge(simulate(scenario))


def told(scenario: Scenario) -> Iterator[str]:
    """A failing scenario, shrunk, as lines that a person can read."""
    broken = {each.invariant for each in violations(scenario)}

    def fails(part: Scenario) -> bool:
        return bool(broken & {each.invariant for each in violations(part)})

    smallest = shrink(scenario, fails)
    story = Story()
    found = judge(simulate(smallest, story))
    yield f"{scenario.seed}: {len(smallest.steps)} of {len(scenario.steps)} steps"
    yield from (f"  {step}" for step in smallest.steps)
    yield "what happened:"
    about = {each.about for each in found}
    published = {step.id for step in smallest.steps if isinstance(step, Publish)}
    yield from (f"  {line}" for line in story.about(about & published or published))
    yield "what it breaks:"
    yield from (f"  {each}" for each in found)
