"""The rows of the history, what they are filtered by, and their export."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.unit.console.steering.made import SHUT, entry
from worker.console.views.export import COLUMNS, csv_head, csv_line, json_line
from worker.console.views.history import Filter, Row, Show, before_of, filter_of, rows

MONITOR = "(monitor)"


def row(**fields: Any) -> Row:
    (made,) = rows([entry(**fields)])
    return made


def test_a_row_says_who_did_what_from_where_to_where_and_why() -> None:
    made = row(share_before=25, share_after=50)
    assert (made.who, made.what, made.change) == ("joseph", "stepped to 50 %", "25 % → 50 %")
    assert (made.reason, made.verdict, made.is_refused) == ("all gates open", "done", False)


def test_a_refusal_says_what_was_asked_and_why_not() -> None:
    made = row(name="set-percentage", verdict="refused", code="range", text="expected 0 to 75")
    assert made.what == "set percentage"
    assert (made.verdict, made.is_refused, made.text) == (
        "refused: range",
        True,
        "expected 0 to 75",
    )


def test_a_change_of_the_phase_alone_is_a_change() -> None:
    made = row(name="advance", from_="ParallelSetup 5 %", to="GradualMigration 5 %",
               share_before=5, share_after=5)  # fmt: skip
    assert made.change == "Parallel setup 5 % → Gradual migration 5 %"


def test_where_nothing_moved_there_is_no_change() -> None:
    same = row(name="hold", from_="GradualMigration 25 %", to="GradualMigration 25 %")
    assert same.change == ""
    assert row(from_=None, to="NotStarted 0 %").change == "begins: Not started 0 %"


def test_gates_that_were_passed_all_the_same_are_named() -> None:
    command = {"name": "step", "reason": "checked", "overrideGates": "checked by hand"}
    made = row(command=command, gates=[SHUT.model_dump()])
    assert (made.overridden, made.shut) == ("checked by hand", ("Success",))
    assert [line.name for line in made.gates] == ["Success"]


def test_gates_without_an_override_are_none_that_were_passed() -> None:
    assert row(gates=[SHUT.model_dump()]).shut == ()


def test_gates_that_another_version_wrote_are_left_out() -> None:
    made = row(gates=[{"gate": "x"}, {"odd": 1}, SHUT.model_dump(by_alias=True)])
    assert [line.name for line in made.gates] == ["Success"]


def test_a_decision_of_automation_shows_its_evidence() -> None:
    made = row(
        user=MONITOR, name="automatic-rollback", code="automatic-rollback",
        evidence={"failed": "15.8 of 13.2"},
    )  # fmt: skip
    assert (made.who, made.is_automatic) == ("Automation", True)
    assert made.evidence == (("failed", "15.8 of 13.2"),)


def test_what_else_a_command_said_is_shown_but_for_what_has_its_own_place() -> None:
    command = {"name": "set-percentage", "commandId": "7", "reason": "r", "percentage": 5}
    made = row(command=command)
    assert made.fields == (("percentage", "5"),)
    assert made.command_id == "7"


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Filter(), [5, 3, 2, 1]),
        (Filter(dry_runs=True), [5, 4, 3, 2, 1]),
        (Filter(Show.PERSON), [3, 2, 1]),
        (Filter(Show.AUTOMATIC), [5]),
        (Filter(Show.REFUSED), [2]),
    ],
)
def test_entries_are_filtered(wanted: Filter, numbers: list[int]) -> None:
    entries = [
        entry(number=5, user=MONITOR),
        entry(number=4, code="dry-run"),
        entry(number=3),
        entry(number=2, verdict="refused", code="gates"),
        entry(number=1, code="unchanged"),
    ]
    assert [each.number for each in entries if wanted.takes(each)] == numbers


def test_a_refused_dry_run_is_a_dry_run() -> None:
    asked = entry(verdict="refused", code="phase", command={"name": "step", "dryRun": True})
    assert not Filter(Show.REFUSED).takes(asked)


@pytest.mark.parametrize(
    ("query", "wanted", "before"),
    [
        ({}, Filter(), None),
        ({"show": "person", "dry": "1", "before": "17"}, Filter(Show.PERSON, dry_runs=True), 17),
        ({"show": "x", "dry": "yes", "before": "-1"}, Filter(), None),
        ({"before": "9" * 30}, Filter(), None),
        ({"before": "٣"}, Filter(), None),
    ],
)
def test_an_address_is_read_totally(
    query: dict[str, str], wanted: Filter, before: int | None
) -> None:
    assert (filter_of(query), before_of(query)) == (wanted, before)


# --- export ----------------------------------------------------------------------------------


def cells(line: str) -> dict[str, str]:
    (values,) = csv.reader(io.StringIO(line))
    return dict(zip(COLUMNS, values, strict=True))


def test_csv_has_a_head_and_a_line_for_each_entry() -> None:
    assert csv_head().strip().split(",") == list(COLUMNS)
    made = cells(csv_line(entry(share_before=0, share_after=1)))
    assert (made["number"], made["user"], made["command"]) == ("50", "joseph", "step")
    assert (made["from"], made["to"]) == ("GradualMigration 25 %", "GradualMigration 50 %")
    assert (made["shareBefore"], made["at"]) == ("0", "2026-11-27T11:59:52+00:00")


def test_what_a_cell_holds_does_not_break_the_line() -> None:
    reason = 'he said "go",\nthen\nleft'
    made = cells(csv_line(entry(command={"name": "step", "reason": reason})))
    assert made["reason"] == reason


@pytest.mark.parametrize("reason", ["=1+1", "+260971", "-x", "@SUM(A1)", "\tx"])
def test_no_cell_is_a_formula(reason: str) -> None:
    made = cells(csv_line(entry(command={"name": "step", "reason": reason})))
    assert made["reason"] == f"'{reason}"


def test_json_lines_are_the_entries_as_they_came() -> None:
    line = json_line(entry(share_before=25))
    assert line.endswith("\n")
    assert json.loads(line) == entry(share_before=25).document()
