"""The flags as a form and back; what an edit changes, and what others changed meanwhile."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.console.steering.made import NAMES, preview, previewed, reply, state
from worker.console.views.flag_changes import Edit, changes
from worker.console.views.flag_words import LEFT_OUT, Shown, shown_as, words
from worker.console.views.flags import PREFIX, FlagField, edited, leaves, sections
from worker.domain.migration import flags_document
from worker.domain.migration.flags import Flags

DEFAULT: dict[str, Any] = flags_document.document(Flags(), 25)
ERRORS = "SmsFeatureFlags.RollbackThresholds.MaxErrorRate"
STEPS = "Phases.GradualMigration.Steps"


def fields(document: dict[str, Any] = DEFAULT, *problems: str) -> dict[str, FlagField]:
    return {
        field.name.removeprefix(PREFIX): field
        for section in sections(document, problems)
        for field in section.fields
    }


def form(document: dict[str, Any] = DEFAULT) -> dict[str, str]:
    """What a browser sends of the form: a switch that is off is left out."""
    return {f.name: f.text for f in fields(document).values() if f.shown != "switch" or f.text}


def test_every_flag_has_words() -> None:
    unnamed = {path for path, _ in leaves(DEFAULT) if words(path) is None}
    assert unnamed == LEFT_OUT


def test_every_flag_is_in_the_form_but_what_has_its_own_commands() -> None:
    assert set(fields()) == {path for path, _ in leaves(DEFAULT)} - LEFT_OUT


def test_a_form_that_nobody_touched_is_the_document() -> None:
    assert edited(DEFAULT, form()) == DEFAULT


def test_a_value_of_the_form_is_the_value_of_the_document() -> None:
    changed = form() | {PREFIX + ERRORS: " 2.5 ", PREFIX + STEPS: "5, 10 50"}
    del changed[f"{PREFIX}SmsFeatureFlags.EnableLegacy"]
    changed[f"{PREFIX}MigrationSettings.NotificationRecipients"] = "a@b.example\n\n c@d.example "
    document = edited(DEFAULT, changed)
    assert document["SmsFeatureFlags"]["RollbackThresholds"]["MaxErrorRate"] == 2.5
    assert document["Phases"]["GradualMigration"]["Steps"] == [5, 10, 50]
    assert document["SmsFeatureFlags"]["EnableLegacy"] is False
    recipients = document["MigrationSettings"]["NotificationRecipients"]
    assert recipients == ["a@b.example", "c@d.example"]
    assert flags_document.parse(document, "africastalking", "legacy")


def test_overrides_and_the_share_stay_as_they_were_opened() -> None:
    opened = deepcopy(DEFAULT)
    opened["SmsFeatureFlags"]["UserOverrides"] = {"u.1": "legacy"}
    changed = form(opened) | {f"{PREFIX}SmsFeatureFlags.AfricasTalkingTrafficPercentage": "99"}
    assert edited(opened, changed) == opened


@pytest.mark.parametrize("text", ["five", "", "nan", "1e999", "0x5", "5%"])
def test_what_is_no_number_goes_to_the_worker_as_it_was_typed(text: str) -> None:
    document = edited(DEFAULT, form() | {PREFIX + ERRORS: text})
    got = document["SmsFeatureFlags"]["RollbackThresholds"]["MaxErrorRate"]
    assert got == text
    with pytest.raises(flags_document.FlagsError, match="MaxErrorRate: expected a number"):
        flags_document.parse(document, "africastalking", "legacy")


@given(st.dictionaries(st.sampled_from([f"{PREFIX}{p}" for p, _ in leaves(DEFAULT)]), st.text()))
def test_whatever_comes_gives_a_document_with_the_same_paths(given_form: dict[str, str]) -> None:
    document = edited(DEFAULT, given_form)
    assert [path for path, _ in leaves(document)] == [path for path, _ in leaves(DEFAULT)]
    json.dumps(document, allow_nan=False)


def test_a_problem_stands_beside_its_value() -> None:
    found = fields(
        DEFAULT,
        "MaxErrorRate: expected a number from 0 to 100, got 'x'",
        "GradualMigration.Steps: expected rising",
        "NotificationRecipients[0]: expected name@host",
        "SmsFeatureFlags.Odd: unknown field",
    )
    assert found[ERRORS].problem == "expected a number from 0 to 100, got 'x'"
    assert found[STEPS].problem == "expected rising"
    assert found["Phases.LegacyDeprecation.Steps"].problem == ""
    assert found["MigrationSettings.NotificationRecipients"].problem == "expected name@host"


def test_a_number_keeps_all_its_digits() -> None:
    document = deepcopy(DEFAULT)
    document["MigrationSettings"]["SoakTimeMinutes"] = 525_600.0
    assert fields(document)["MigrationSettings.SoakTimeMinutes"].text == "525600"


def test_a_flag_of_a_newer_worker_is_called_by_its_name() -> None:
    document = {
        "SmsFeatureFlags": {"MaxOddThings": 3, "Deep": {"a": {"b": {"c": {"d": {"e": 1}}}}}}
    }
    (odd, deep) = fields(document).values()
    assert (odd.label, odd.shown) == ("Max odd things", Shown.NUMBER)
    assert deep.label
    assert edited(document, {odd.name: "4"})["SmsFeatureFlags"]["MaxOddThings"] == 4


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, Shown.SWITCH), (3, Shown.NUMBER), (0.5, Shown.NUMBER), ("x", Shown.TEXT),
     (["x"], Shown.LINES), ([1, 2], Shown.NUMBERS), (None, Shown.TEXT)],
)  # fmt: skip
def test_a_value_without_words_is_edited_by_its_type(value: Any, shown: Shown) -> None:
    assert shown_as("Odd.Value", value) is shown


# --- what an edit changes --------------------------------------------------------------------


def document(**features: Any) -> dict[str, Any]:
    return {"SmsFeatureFlags": {"EnableLegacy": True, "MaxOdd": 1, **features}}


def checked(in_force: dict[str, Any], version: int, edit: Edit, **fields: Any) -> Any:
    now = state(version=version).model_copy(update={"flags": in_force})
    answer = preview(**fields).model_copy(update={"after": None})
    return changes(edit, previewed(answer, state=now), NAMES)


def test_an_edit_is_compared_with_what_is_in_force() -> None:
    made = checked(document(), 41, Edit(document(), 41, document(MaxOdd=2)))
    assert made.differences == ("SmsFeatureFlags.MaxOdd: 1 -> 2",)
    assert (made.theirs, made.version, made.can_save) == ((), 41, True)


def test_nothing_changed_is_nothing_to_save() -> None:
    made = checked(document(), 41, Edit(document(), 41, document()))
    assert (made.differences, made.can_save) == ((), False)


def test_problems_forbid_to_save() -> None:
    made = checked(
        document(), 41, Edit(document(), 41, document(MaxOdd="x")),
        accepted=False, code="invalid", problems=["MaxOdd: expected a number"],
    )  # fmt: skip
    assert (made.problems, made.can_save) == (("MaxOdd: expected a number",), False)


def test_shut_gates_are_no_problem_of_the_document() -> None:
    made = checked(
        document(), 41, Edit(document(), 41, document(MaxOdd=2)), accepted=False, code="gates"
    )
    assert (made.problems, made.can_save) == ((), True)


def test_what_others_changed_meanwhile_is_shown_beside_mine() -> None:
    edit = Edit(document(), 41, document(MaxOdd=2))
    made = checked(document(EnableLegacy=False), 43, edit)
    assert made.theirs == ("SmsFeatureFlags.EnableLegacy: true -> false",)
    assert made.differences == (
        "SmsFeatureFlags.EnableLegacy: false -> true",
        "SmsFeatureFlags.MaxOdd: 1 -> 2",
    )
    assert made.version == 43


def test_a_newer_version_with_the_same_flags_is_no_conflict() -> None:
    made = checked(document(), 43, Edit(document(), 41, document(MaxOdd=2)))
    assert (made.theirs, made.version) == ((), 43)


def test_without_a_state_the_opened_document_is_compared() -> None:
    answer = preview().model_copy(update={"after": None})
    found = previewed(answer).__class__(reply(state=None), answer)
    made = changes(Edit(document(), 41, document(MaxOdd=2)), found, NAMES)
    assert made.differences == ("SmsFeatureFlags.MaxOdd: 1 -> 2",)
