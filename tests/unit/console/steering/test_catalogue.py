"""Every command has one description, and the descriptions fit the contract."""

from __future__ import annotations

import re

import pytest

from contracts.control import COMMANDS, ControlCommand
from worker.console.steering.catalogue import CATALOGUE
from worker.console.steering.descriptions import Description, Kind, said
from worker.domain.migration.change_names import RELATIVE

SHARED = {"name", "reason", "dry_run", "override_gates", *ControlCommand.model_fields}
PLACEHOLDERS = {"target", "legacy", "phase", "share", "before", "version", "provider", "to"}


def named(command: type[ControlCommand]) -> str:
    return command.model_fields["name"].default


@pytest.mark.parametrize("command", COMMANDS, ids=named)
def test_a_command_has_a_description_with_its_fields(command: type[ControlCommand]) -> None:
    description = CATALOGUE[named(command)]
    assert description.command is command
    own = {name for name in command.model_fields if name not in SHARED}
    assert {field.name for field in description.fields} == own
    for field in description.fields:
        assert field.required == command.model_fields[field.name].is_required(), field.name


def test_there_is_no_description_without_a_command() -> None:
    assert set(CATALOGUE) == {named(command) for command in COMMANDS}


@pytest.mark.parametrize("description", CATALOGUE.values(), ids=lambda each: each.name)
def test_a_description_says_a_verb_and_an_object_and_how_to_undo(description: Description) -> None:
    assert len(description.button.split()) >= 2
    assert description.button.split()[0] not in {"OK", "Yes", "Confirm"}
    assert description.title.endswith("?")
    assert description.undo.endswith(".")
    assert description.done
    emergency = description.kind is Kind.EMERGENCY
    assert description.opens.endswith("…") is not emergency, "the emergency opens no long dialog"


@pytest.mark.parametrize("description", CATALOGUE.values(), ids=lambda each: each.name)
def test_a_description_has_only_placeholders_that_are_filled_in(description: Description) -> None:
    texts = (
        description.opens, description.title, description.button, description.button_to,
        description.follows, description.undo, description.done,
    )  # fmt: skip
    found = {name for text in texts for name in re.findall(r"\{(\w+)\}", text)}
    assert found <= PLACEHOLDERS


def test_what_the_worker_calls_relative_carries_the_version() -> None:
    relative = {name for name, each in CATALOGUE.items() if each.relative}
    assert {str(name) for name in RELATIVE} <= relative


def test_placeholders_are_filled_in_and_unknown_ones_stay() -> None:
    assert (
        said("{target} at {share} %, {other}", {"target": "A", "share": 5}) == "A at 5 %, {other}"
    )
