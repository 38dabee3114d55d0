"""A form gives a command or problems, whatever a browser sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.control import COMMANDS, ControlCommand, SetFlags, SetPercentage, Step
from worker.console.steering.catalogue import CATALOGUE
from worker.console.steering.descriptions import LONGEST, Shape
from worker.console.steering.form import Problem, command, must_type, own_fields
from worker.console.steering.shapes import Wrong, read

NOW: Final = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
SHARED: Final = {"reason": "bank agreed", "commandId": "7c0f"}
VALUES: Final[dict[Shape, tuple[str, Any]]] = {
    Shape.PERCENTAGE: ("100", 100),
    Shape.VERSION: ("41", 41),
    Shape.BRANCH: ("-7", -7),
    Shape.LINE: ("before", "before"),
    Shape.USER: ("u-17", "u-17"),
    Shape.PROVIDER: ("legacy", "legacy"),
    Shape.NUMBER: ("0971 234 567", "0971 234 567"),
    Shape.SENDER: ("BANK", "BANK"),
    Shape.DOCUMENT: ('{"SmsFeatureFlags": {}}', {"SmsFeatureFlags": {}}),
}
"""A text that fits each shape, and what it means."""


def filled(name: str) -> dict[str, str]:
    """A form in which every field of the command is filled in."""
    own = {field.name: VALUES[field.shape][0] for field in CATALOGUE[name].fields}
    return {**SHARED, **own}


def problems(name: str, **changed: str) -> dict[str, str]:
    made = command(CATALOGUE[name], filled(name) | changed, NOW)
    assert isinstance(made, tuple)
    return {problem.field: problem.text for problem in made}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_filled_in_form_gives_the_command_with_every_field(name: str) -> None:
    made = command(CATALOGUE[name], filled(name), NOW)
    assert isinstance(made, CATALOGUE[name].command)
    assert (made.reason, made.command_id, made.issued_at) == ("bank agreed", "7c0f", NOW)
    for field in CATALOGUE[name].fields:
        assert getattr(made, field.name) == VALUES[field.shape][1]


def test_an_empty_field_that_may_be_absent_is_left_out() -> None:
    made = command(CATALOGUE["advance"], {**SHARED, "at": "  "}, NOW)
    assert isinstance(made, ControlCommand)
    assert "at" not in made.model_fields_set


@pytest.mark.parametrize(
    ("name", "field", "text", "expected"),
    [
        ("set-percentage", "percentage", "101", 'expected a whole number from 0 to 100, got "101"'),
        ("set-percentage", "percentage", "", "expected a whole number from 0 to 100, got nothing"),
        ("set-percentage", "percentage", "2.5", 'expected a whole number from 0 to 100, got "2.5"'),
        ("set-percentage", "percentage", "٣", 'expected a whole number from 0 to 100, got "٣"'),
        ("set-percentage", "percentage", "1" * 999, "expected at most 3 characters, got 999"),
        ("approve", "proposal", "x", 'expected a version number, got "x"'),
        ("approve", "proposal", "9" * 19, 'expected a version number, got "9999999999999999999"'),
        (
            "set-branch-override", "branch", "012",
            'expected a whole number of at most 64 bit, written as 12, got "012"',
        ),
        ("set-user-override", "provider", "both", 'expected target or legacy, got "both"'),
        ("set-user-override", "user", "a\tb", "expected 1 to 128 printable characters"),
        ("backup", "label", "a\nb", 'expected one line of 1 to 128 characters, got "a�b"'),
        ("add-suppression", "number", "09\x0071", "of 1 to 128 characters, got 5 characters"),
        ("set-flags", "flags", "[]", "expected a JSON object"),
        ("set-flags", "flags", '{"a": 1, "a": 2}', "a: given more than once"),
    ],
)  # fmt: skip
def test_a_bad_field_names_itself_and_what_was_expected_and_what_came(
    name: str, field: str, text: str, expected: str
) -> None:
    found = problems(name, **{field: text})
    assert list(found) == [field]
    assert expected in found[field]


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("reason", "ok", 'expected 3 to 500 characters for the history, got "ok"'),
        ("reason", " \n ", "expected 3 to 500 characters for the history, got nothing"),
        ("reason", "x" * 501, "expected 3 to 500 characters for the history, got 501 characters"),
        ("commandId", "", "expected 1 to 128 letters, digits, dots or dashes, got nothing"),
        ("commandId", "é", 'expected 1 to 128 letters, digits, dots or dashes, got "é"'),
        ("commandId", "../a", 'expected 1 to 128 letters, digits, dots or dashes, got "../a"'),
        ("expectedVersion", "new", 'expected a version number, got "new"'),
        ("expectedVersion", "9" * 40, 'expected a version number, got "9999'),
    ],
)
def test_what_every_command_has_is_checked_alike(field: str, text: str, expected: str) -> None:
    found = problems("step", **{field: text})
    assert list(found) == [field]
    assert found[field].startswith(expected)


def test_all_problems_are_listed_at_once() -> None:
    assert set(problems("set-user-override", user="", provider="x", reason="")) == {
        "user", "provider", "reason",
    }  # fmt: skip


def test_a_number_is_never_repeated() -> None:
    text = str(problems("add-suppression", number="+260971234567\x7f"))
    assert "260971234567" not in text


def test_the_expected_version_is_carried() -> None:
    made = command(CATALOGUE["step"], {**SHARED, "expectedVersion": "41"}, NOW)
    assert isinstance(made, Step)
    assert made.expected_version == 41


def test_gates_are_passed_all_the_same_only_where_the_form_says_so() -> None:
    form = filled("set-percentage")
    plain = command(CATALOGUE["set-percentage"], form, NOW)
    override = command(CATALOGUE["set-percentage"], {**form, "override": "1"}, NOW)
    assert isinstance(plain, SetPercentage)
    assert isinstance(override, SetPercentage)
    assert (plain.override_gates, override.override_gates) == (None, "bank agreed")


def test_a_command_without_gates_ignores_a_forged_override() -> None:
    made = command(CATALOGUE["hold"], {**SHARED, "override": "1"}, NOW)
    assert isinstance(made, ControlCommand)


@pytest.mark.parametrize(
    ("name", "provider", "asked"),
    [
        ("retire-legacy", "", True),
        ("restore", "", True),
        ("disable-provider", "legacy", True),
        ("disable-provider", "target", False),
        ("enable-provider", "legacy", False),
        ("emergency-rollback", "", False),
        ("step", "", False),
    ],
)
def test_the_environment_is_typed_where_there_is_no_way_back(
    name: str, provider: str, *, asked: bool
) -> None:
    assert must_type(CATALOGUE[name], {"provider": provider}) is asked


@pytest.mark.parametrize("typed", ["production", " production "])
def test_the_name_of_the_environment_lets_the_command_through(typed: str) -> None:
    form = {**SHARED, "environment": typed}
    assert isinstance(command(CATALOGUE["retire-legacy"], form, NOW, "production"), ControlCommand)


@pytest.mark.parametrize(("typed", "shown"), [("staging", '"staging"'), ("", "nothing")])
def test_another_name_than_the_environments_is_a_problem(typed: str, shown: str) -> None:
    made = command(CATALOGUE["retire-legacy"], {**SHARED, "environment": typed}, NOW, "production")
    assert made == (Problem("environment", f"expected production, got {shown}"),)


def test_a_flags_document_too_large_for_the_wire_is_refused_by_its_length() -> None:
    document = json.dumps({"a": "x" * LONGEST[Shape.DOCUMENT]})
    found = problems("set-flags", flags=document)
    assert found["flags"] == f"expected at most 65536 characters, got {len(document)}"


@pytest.mark.parametrize("shape", [Shape.LINE, Shape.USER, Shape.NUMBER, Shape.SENDER])
def test_the_longest_text_is_taken_and_one_character_more_is_not(shape: Shape) -> None:
    most = LONGEST[shape]
    assert read(shape, "x" * most) == "x" * most
    assert isinstance(read(shape, "x" * (most + 1)), Wrong)


@pytest.mark.parametrize("made", COMMANDS, ids=lambda each: each.model_fields["name"].default)
@given(data=st.data())
def test_whatever_comes_gives_a_command_or_problems(
    made: type[ControlCommand], data: st.DataObject
) -> None:
    name = made.model_fields["name"].default
    names = [field.name for field in CATALOGUE[name].fields]
    anything = st.text(st.characters(codec=None), max_size=60)
    form = {each: data.draw(anything) for each in [*names, "reason", "commandId"]}
    got = command(CATALOGUE[name], form, NOW)
    assert isinstance(got, made | tuple)
    assert got or name
    assert not isinstance(got, tuple) or all(len(each.text) < 700 for each in got)


def test_flags_are_read_as_strictly_as_a_file() -> None:
    assert own_fields(CATALOGUE["set-flags"], {"flags": "{}"}).fields == {"flags": {}}
    assert SetFlags.model_fields["flags"].is_required()
