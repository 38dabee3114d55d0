"""The matrix has every point of every life, at each of its passes."""

from __future__ import annotations

import pytest

from tests.torture.points import BY_NAME, OPERATIONS
from tests.torture.processes.cell import Cell
from tests.torture.processes.cells import HANGING, SIGNALS, UNUSUAL, cells
from tests.torture.processes.stories import STORIES

SEND = "provider.legacy.send.sent@sms.send.bulk"


def passed(count: int = 4) -> dict[str, dict[str, int]]:
    """What stories pass that pass every point of their lives in the hands of one queue."""
    return {
        story.name: {
            f"{point}@sms.send.bulk": count
            for operation in OPERATIONS
            if operation.name not in UNUSUAL and operation.lives & story.lives
            for point in operation.points()
        }
        for story in STORIES
    }


def faults_of(story: str, found: list[Cell]) -> list[str]:
    return [cell.fault for cell in found if cell.story == story and cell not in HANGING]


def test_each_story_has_a_kill_at_the_first_and_at_a_later_pass_of_each_point() -> None:
    found = cells(passed())
    for story in STORIES:
        for point in passed()[story.name]:
            kills = {f"{point}:1:kill", f"{point}:3:kill"}
            assert kills <= set(faults_of(story.name, found))


def test_a_point_that_is_passed_once_has_one_kill() -> None:
    kills = [fault for fault in faults_of("taken", cells(passed(1))) if fault.startswith(SEND)]
    assert kills == [f"{SEND}:1:kill", f"{SEND}:1:term"]


def test_a_sigterm_comes_once_at_each_point() -> None:
    found = [cell.fault for cell in cells(passed()) if cell.fault.endswith(":1:term")]
    assert len(found) == len(set(found))
    everywhere = {point for passes in passed().values() for point in passes}
    assert {fault.removesuffix(":1:term") for fault in found} == everywhere


def test_what_the_clock_brings_is_killed_at_its_first_pass_alone_unless_it_comes_often() -> None:
    for count, kills in ((4, 1), (7, 2)):
        given = passed()
        given["taken"]["database.messages.aggregate.before@"] = count
        found = faults_of("taken", cells(given))
        named = [
            fault for fault in found if fault.startswith("database.messages.aggregate.before:")
        ]
        assert [fault.endswith("kill") for fault in named].count(True) == kills


def test_what_only_follows_the_state_by_the_clock_is_no_part_of_a_life() -> None:
    given = passed()
    given["steered"]["database.control_log.find.before@"] = 40
    assert not [f for f in faults_of("steered", cells(given)) if "find.before:" in f]


def test_a_crowd_gets_signals_from_outside() -> None:
    found = [cell for cell in cells(passed()) if cell.story == "crowded"]
    assert len(found) == 2 * SIGNALS
    assert all(cell.after_s is not None for cell in found)
    assert found == [cell for cell in cells(passed()) if cell.story == "crowded"]


def test_an_operation_that_no_story_passes_is_missed() -> None:
    given = passed()
    for passes in given.values():
        for point in [point for point in passes if point.startswith("broker.publish.dead")]:
            del passes[point]
    with pytest.raises(AssertionError, match=r"no story passes broker\.publish\.dead"):
        cells(given)


def test_a_cell_is_read_as_it_is_written() -> None:
    for cell in cells(passed()):
        assert Cell.read(str(cell)) == cell
    with pytest.raises(ValueError, match="expected one of"):
        Cell.read("nowhere/after:1:kill")


def test_what_is_unusual_is_in_the_registry() -> None:
    assert set(UNUSUAL) <= set(BY_NAME)
