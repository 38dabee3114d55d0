"""A person's orders in 200 random courses: automation acts on what came after the last of them.

In each course the person goes down and up by every way there is, switches providers and automation
and restores older states: several orders in one second, right before a tick, and while the monitor
makes one, among calls that began before and end after. Monitors take over from each other. After
the last order the target is well for `WELL` ticks or dead at once, and dead in the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.call_traffic import Fate, Trouble
from tests.support.random_orders import RULES, WHOLE, Course, may_go_down
from worker.domain.migration.direction import share

if TYPE_CHECKING:
    import random

COURSES, BATCHES = 200, 4
TROUBLES = (Fate.FAILS, Fate.FAILS, Fate.HANGS, Fate.HANGS, Fate.SLOW, Fate.LOST)
WELL = 9
"""Ticks: longer than a timeout, a breaker's longest wait, or a delivery takes to be judged."""
FOUND_WITHIN = 20
"""Ticks, at 20 messages a second and 1 % and more: of them two minutes in which nothing is compared
after trouble of both, or one in which a breaker waits and half a one until its call times out."""
ORDERS = {
    "emergency-rollback", "rollback", "set-percentage", "advance", "step", "unlock",
    "enable-provider", "disable-provider", "set-flags", "restore",
}  # fmt: skip


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_automation_acts_on_events_since_the_last_change_alone_and_finds_a_dead_target(
    batch: int,
) -> None:
    made = {seed: await driven(seed) for seed in range(batch, COURSES, BATCHES)}
    assert {seed: course.wrong for seed, (course, _) in made.items() if course.wrong} == {}
    assert [seed for seed, (_, is_found) in made.items() if not is_found] == []
    _hold_what_they_should([course for course, _ in made.values()])


def _hold_what_they_should(courses: list[Course]) -> None:
    """Every order, many of them under suspicion, with calls under way, and within ticks."""
    changes = [change for course in courses for change in course.changes]
    assert {change.name for change in changes} >= ORDERS
    assert sum(change.suspected for change in changes) > len(courses) / 4
    assert sum(change.under_way > 0 for change in changes) > len(courses)
    assert sum(course.within_ticks for course in courses) > len(courses)


async def driven(seed: int) -> tuple[Course, bool]:
    """A course, and whether the target was found once it was dead."""
    made = await begun(seed)
    await ordered(made)
    well = seed % 2 == 0
    await ended(made, well=well)
    moves = made.moves
    if well:
        await made.ticks(WELL)
        made.trouble = Trouble(made.rng.choice(TROUBLES), 1.0)
    return made, made.moves > moves or await found(made)


async def begun(seed: int) -> Course:
    """Half a minute of traffic without trouble."""
    made = Course(seed)
    await made.begin()
    await made.seconds(made.rng.randrange(25, 40))
    return made


async def ordered(made: Course) -> None:
    """Some bursts of orders, while the target does badly or not."""
    rng = made.rng
    for _ in range(rng.randrange(2, 5)):
        made.trouble = _trouble(rng) if rng.random() < 0.7 else Trouble()
        await made.seconds(rng.choice([1, 3, 8, 12, 20, 35]))
        for _ in range(rng.randrange(1, 4)):
            await _one_order(made)
        if rng.random() < 0.3:
            made.restart(rng.choice([0, 3, 15]))


def _trouble(rng: random.Random) -> Trouble:
    fate, part = rng.choice(TROUBLES), rng.choice([0.5, 1.0])
    both = fate is Fate.FAILS and rng.random() < 0.2
    return Trouble(fate, part, part if both else 0.0)


async def _one_order(made: Course) -> None:
    how = made.rng.random()
    if how < 0.3:
        made.in_tick = 1
        while made.in_tick:
            await made.seconds(1)
        return
    if how < 0.5:
        await made.seconds(made.until_tick - 1)
    made.order(made.now + 0.5)
    if how < 0.7:
        await made.seconds(made.rng.randrange(1, 10))


async def ended(made: Course, *, well: bool) -> None:
    """The last orders, after which automation may act; the target is well from then on, or dead."""
    rng = made.rng
    fate = rng.choice(TROUBLES)
    made.trouble = Trouble(fate, 1.0)
    await made.seconds(rng.choice([4, 9, 14, 25]))
    if well:
        made.trouble = Trouble()
        await made.seconds(rng.choice([0, 0, 1, 2]))
    _let_act(made)
    if rng.random() < 0.6:
        made.order(made.now + 0.5, wanted=may_go_down)


def _let_act(made: Course) -> None:
    """Orders by which the target has a share, legacy its place, and automation its right."""
    at = made.now + 0.5
    while not may_go_down(made.state):
        flags = replace(
            made.state.flags, automatic_rollback=True, target_enabled=True, legacy_enabled=True
        )
        made.give("set-flags", {"flags": flags}, at)
        made.give("advance", {}, at)
        made.give("set-percentage", {"percentage": RULES[made.state.phase].entry}, at)


async def found(made: Course) -> bool:
    """Whether automation does about a target in trouble what it may, in time.

    It goes down, but holds at the whole share for what is slow or lost: nothing is compared there.
    """
    moves = made.moves
    for _ in range(FOUND_WITHIN):
        await made.ticks(1)
        held = share(made.state) == WHOLE and made.trouble.fate in (Fate.SLOW, Fate.LOST)
        if made.moves > moves or (held and made.holds):
            return True
    return False
