"""Shrinks a failing scenario to the steps that it takes.

Source: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
IEEE Transactions on Software Engineering 28(2), 2002), with complements only.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.scenario import Scenario, Step


def shrink(scenario: Scenario, fails: Callable[[Scenario], bool]) -> Scenario:
    """A part of a failing scenario that still fails, and no longer does without any one step.

    Args:
        scenario: it fails.
        fails: whether a scenario fails in the same way; called some hundred times.
    """
    steps, parts = scenario.steps, 2
    while len(steps) > 1:
        smaller = next(
            (each for each in _without(steps, parts) if fails(_with(scenario, each))), None
        )
        if smaller is not None:
            steps, parts = smaller, max(parts - 1, 2)
        elif parts < len(steps):
            parts = min(2 * parts, len(steps))
        else:
            break
    return _with(scenario, steps)


def _without(steps: tuple[Step, ...], parts: int) -> list[tuple[Step, ...]]:
    """The steps without one of so many parts, for each of them."""
    size, rest = divmod(len(steps), parts)
    edges = [0]
    for part in range(parts):
        edges.append(edges[-1] + size + (1 if part < rest else 0))
    return [steps[:begin] + steps[end:] for begin, end in itertools.pairwise(edges)]


def _with(scenario: Scenario, steps: tuple[Step, ...]) -> Scenario:
    return replace(scenario, steps=steps)
