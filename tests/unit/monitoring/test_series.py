"""Both providers over time, and what changed the share meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contracts import control
from tests.support.control_fakes import MemoryLog, Told, asked, begun, handler
from tests.support.fakes import HandClock
from worker.domain.figures.periods import SlotSums
from worker.domain.migration.gates import Measures
from worker.monitoring.series import LONGEST_REASON, MOST_CHANGES, TimeSeries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts.answers import SeriesAnswer
    from worker.domain.figures.series import Period


class Slots:
    """One slot of the target, the fourth."""

    async def series(self, shown: Period, names: Sequence[str]) -> list[SlotSums]:
        sums = dict.fromkeys(names, 0) | {"accepted": 9, "latency:4": 9, "duration_us": 900_000}
        return [SlotSums("at", shown.starts[3], sums)]


class Course:
    """Commands one after the other, and the chart of it."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.log, self.told = MemoryLog(self.clock), Told()
        self.handle = handler(self.log, self.told, Measures())
        self.count = 0

    async def do(self, kind: type[control.ControlCommand], **more: Any) -> None:
        self.count += 1
        self.clock.advance(60)
        await self.handle(asked(self.clock, kind, f"c-{self.count}", **more))

    async def chart(self, hours: float = 24.0) -> SeriesAnswer:
        return await TimeSeries(Slots(), self.log, "at", "old", self.clock).last_hours(hours)


@pytest.fixture
async def course() -> Course:
    made = Course()
    await begun(made.log, 25)
    return made


async def test_the_figures_of_both_providers_stand_side_by_side(course: Course) -> None:
    chart = await course.chart()
    target, legacy = chart.providers["at"], chart.providers["old"]
    assert (chart.target, chart.legacy, chart.slot_s) == ("at", "old", 600)
    assert chart.until - chart.since == timedelta(seconds=chart.slot_s * len(target.attempts))
    assert {len(column) for column in target.model_dump().values()} == {len(legacy.attempts)}
    assert (target.attempts[3], target.p95_ms[3], sum(target.attempts)) == (9, 100.0, 9)
    assert (sum(legacy.attempts), set(legacy.p50_ms)) == (0, {None})


async def test_a_change_of_the_share_is_told_with_who_and_why(course: Course) -> None:
    await course.do(control.SetPercentage, percentage=10, reason="complaints")
    (change,) = (await course.chart()).changes
    assert (change.at, change.user, change.number) == (course.clock.now(), "ann", 2)
    assert (change.command, change.reason) == ("set-percentage", "complaints")
    assert (change.share_before, change.share_after) == (25, 10)
    assert change.phase == "GradualMigration"


async def test_what_leaves_the_share_as_it_is_is_no_change(course: Course) -> None:
    await course.do(control.Hold)
    await course.do(control.Backup, label="friday")
    await course.do(control.Step, dry_run=True)
    await course.do(control.Step)  # refused: nothing is measured
    await course.do(control.SetPercentage, percentage=25)
    assert len(course.log.entries) == 6
    assert (await course.chart()).changes == []


async def test_a_provider_that_is_disabled_changes_the_share(course: Course) -> None:
    await course.do(control.DisableProvider, provider="target")
    (change,) = (await course.chart()).changes
    assert (change.share_before, change.share_after) == (25, 0)


async def test_the_share_at_the_start_is_the_one_in_force_then(course: Course) -> None:
    await course.do(control.SetPercentage, percentage=10)
    course.clock.advance(7_200)
    await course.do(control.SetPercentage, percentage=5)
    chart = await course.chart(1.0)
    assert (chart.share, [each.share_after for each in chart.changes]) == (10, [5])


async def test_before_the_first_state_the_share_is_the_one_that_it_began_with(
    course: Course,
) -> None:
    await course.do(control.SetPercentage, percentage=10)
    assert (await course.chart()).share == 25


async def test_without_any_state_nothing_goes_to_the_target() -> None:
    chart = await Course().chart()
    assert (chart.share, chart.changes) == (0, [])


async def test_of_many_changes_the_newest_are_kept_the_oldest_first(course: Course) -> None:
    for number in range(MOST_CHANGES + 5):
        await course.do(control.SetPercentage, percentage=number % 2, override_gates="a test")
    changes = (await course.chart()).changes
    assert [each.number for each in changes] == list(range(7, MOST_CHANGES + 7))


async def test_a_long_reason_is_cut(course: Course) -> None:
    await course.do(control.SetPercentage, percentage=10, reason="why " * 100)
    (change,) = (await course.chart()).changes
    assert change.reason is not None
    assert len(change.reason) <= LONGEST_REASON
    assert change.reason.endswith("why…")


async def test_an_entry_that_gives_no_reason_has_none(course: Course) -> None:
    await course.do(control.SetPercentage, percentage=10)
    course.log.entries[-1] = replace(course.log.entries[-1], command={"name": "set-percentage"})
    (change,) = (await course.chart()).changes
    assert change.reason is None
