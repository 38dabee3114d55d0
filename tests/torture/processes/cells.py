"""Which cells the matrix has, from the points that each story passes without a fault.

Rules:
- A point is noted with the queue whose delivery passed it: such as broker.ack.before@sms.reports.
- Each such point of the story's lives is a cell of that story: a kill at the first pass, and one at
  a later pass. A SIGTERM comes once at each, in the first story that passes it.
- What no delivery passes comes by the clock. Of that, only what records are written by and swept
  by belongs to a life, and only what comes often comes again for sure. Connections and channels are
  the same in every story, so only the first has cells of them.
- A story without lives gets signals from outside, at moments by chance, the same in every run.
- Each operation is passed by a story, or it is unusual.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from tests.torture.points import BY_NAME, Life, Operation
from tests.torture.processes.cell import AFTER, Cell
from tests.torture.processes.faults import Action
from tests.torture.processes.stories import STORIES, Story

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LATER: Final = 3
"""The later pass at which a fault happens, where a point is passed as often."""
SIGNALS: Final = 12
"""Signals of each kind from outside."""
LATEST_S: Final = 2.0
HANGING: Final = tuple(
    Cell(story, f"{point}:1:{Action.HANG}")
    for story, point in (
        ("taken", "provider.legacy.send.sent@sms.send.bulk"),
        ("taken", "database.messages.bulk_write.before"),
        ("taken", "broker.ack.before@sms.send.transactional"),
        ("reported", "database.reports.insert_one.applied@sms.reports"),
        ("steered", "database.control_log.insert_one.before@sms.control.command"),
    )
)
"""Calls that never end, for a SIGTERM that cannot finish them."""
UNUSUAL: Final = {
    "broker.nack": "a delivery handed back while the process drains",
    "broker.reject": "a delivery on which our own code failed",
}
"""Operations that no story passes, and when they are."""

Passes = dict[str, int]
"""How often each point was passed, by point and queue."""


def cells(passed: Mapping[str, Passes]) -> list[Cell]:
    """All cells, given what each story passed."""
    if unseen := set(BY_NAME) - set(UNUSUAL) - set(_operations(passed)):
        raise AssertionError(f"no story passes {', '.join(sorted(unseen))}")
    known: set[str] = set()
    found = [cell for story in STORIES for cell in _of(story, passed[story.name], known)]
    return [*found, *HANGING]


def _operations(passed: Mapping[str, Passes]) -> Iterator[str]:
    return (operation(point).name for passes in passed.values() for point in passes)


def _of(story: Story, passes: Passes, known: set[str]) -> Iterator[Cell]:
    """The cells of a story; `known` has the points of the stories before."""
    if not story.lives:
        yield from _signals(story)
        return
    for point in sorted(point for point in passes if _belongs(story, point)):
        if point in known and _of_connections(point):
            continue
        written = point.removesuffix("@")
        for nth in sorted({1, _later(point, passes[point])}):
            yield Cell(story.name, f"{written}:{nth}:{Action.KILL}")
        if point not in known:
            known.add(point)
            yield Cell(story.name, f"{written}:1:{Action.TERM}")


def _signals(story: Story) -> Iterator[Cell]:
    chance = random.Random(0)
    for action in (Action.KILL, Action.TERM):
        for _ in range(SIGNALS):
            yield Cell(story.name, f"{AFTER}:{chance.uniform(0, LATEST_S):.2f}:{action}")


def operation(point: str) -> Operation:
    """The operation of a point as it is noted."""
    return BY_NAME[point.partition("@")[0].rpartition(".")[0]]


def _belongs(story: Story, point: str) -> bool:
    passed = operation(point)
    followed = Life.COMMAND in passed.lives and not passed.name.startswith("broker.")
    return bool(passed.lives & story.lives) and not (followed and _by_the_clock(point))


def _of_connections(point: str) -> bool:
    return operation(point).name.startswith("broker.") and _by_the_clock(point)


def _later(point: str, count: int) -> int:
    return 1 if _by_the_clock(point) and count <= 2 * LATER else min(count, LATER)


def _by_the_clock(point: str) -> bool:
    return point.endswith("@")
