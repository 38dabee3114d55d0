"""What a dialog asks, and when its button is off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.console.steering.made import (
    EVERY,
    OPEN,
    SHUT,
    YOUNG,
    entry,
    opening,
    preview,
    previewed,
    state,
)
from worker.console.steering.catalogue import CATALOGUE
from worker.console.steering.descriptions import Kind
from worker.console.steering.dialog import EMERGENCY_REASON, Dialog, dialog
from worker.console.steering.form import Problem
from worker.console.steering.reasons import reasons_of


def shown(name: str = "step", **fields: Any) -> Dialog:
    return dialog(opening(name, **fields))


def shut(**fields: Any) -> Dialog:
    refused = preview(accepted=False, overridable=True, code="gates", text="refused by: success")
    return shown(preview=previewed(refused, gates=(OPEN, SHUT, YOUNG)), **fields)


def test_a_step_says_from_where_to_where_what_moves_and_how_to_undo() -> None:
    dialog = shown(preview=previewed())
    assert dialog.title == "Take the next step?"
    assert dialog.lines[0] == (
        "Africa's Talking goes from 25 % to 50 %: "
        "about 4,500 messages an hour move to Africa's Talking."
    )
    assert dialog.undo == "Set the share back to 25 %, at any time: going down needs no gate."
    assert (dialog.button, dialog.is_off) == ("Step to 50 %", False)


def test_shut_gates_turn_the_button_off_and_stand_first() -> None:
    dialog = shut()
    assert dialog.is_off
    assert dialog.off_because == "2 of 3 gates are shut: Success, Time at this share."
    assert [line.name for line in dialog.gates] == ["Success", "Time at this share", "Lock"]
    assert [line.mark for line in dialog.gates] == ["✕", "…", "✓"]
    assert dialog.gates[1].missing == "26.0 min"


def test_too_little_data_is_never_open() -> None:
    line = next(each for each in shut().gates if each.name == "Time at this share")
    assert (line.open, line.verdict) == (False, "not enough data")


def test_what_refuses_may_be_passed_where_the_worker_says_so() -> None:
    assert shut().may_override
    refused = preview(accepted=False, code="phase", text="the way up starts lower")
    overridable = refused.model_copy(update={"overridable": True})
    assert not shown(preview=previewed(refused)).may_override
    assert shown("restore", preview=previewed(overridable)).may_override


def test_what_no_override_changes_offers_none() -> None:
    refused = preview(accepted=False, overridable=True, code="gates", text="x")
    assert not shown("backup", preview=previewed(refused)).may_override


def test_what_nobody_answered_is_asked_again() -> None:
    assert shown(silence="No worker answers.").is_unanswered
    assert not shown(preview=previewed()).is_unanswered
    assert not shown("emergency-rollback").is_unanswered


def test_open_gates_offer_no_way_past_them() -> None:
    assert not shown(preview=previewed(gates=(OPEN,))).may_override


def test_another_refusal_turns_the_button_off_without_a_way_past_it() -> None:
    refused = preview(accepted=False, code="last step", text="step: 75 % is the last step")
    dialog = shown(preview=previewed(refused))
    assert (dialog.off_because, dialog.may_override) == ("step: 75 % is the last step", False)


def test_what_goes_up_is_off_while_its_effect_is_not_known() -> None:
    assert shown(silence="No worker answers.").off_because == "No worker answers."


@pytest.mark.parametrize("name", ["rollback", "hold", "backup", "ack", "emergency-rollback"])
def test_what_does_not_go_up_is_on_though_nothing_is_known(name: str) -> None:
    assert not shown(name, silence="No worker answers.", state=None).is_off


def test_the_emergency_depends_on_nothing() -> None:
    refused = preview(accepted=False, code="forbidden", text="no")
    dialog = shown("emergency-rollback", preview=previewed(refused), state=None)
    assert not dialog.is_off
    assert dialog.reason == EMERGENCY_REASON
    assert dialog.environment == ""
    assert dialog.button == "Send everything to Legacy"


def test_an_empty_field_is_asked_for_before_the_effect_is_known() -> None:
    dialog = shown("set-percentage")
    assert dialog.shows_effect
    assert dialog.off_because == "Fill in the fields to see what it does."
    (field,) = dialog.fields
    assert (field.drawn_as, field.label) == ("number", "Share of Africa's Talking, %")


def test_what_came_is_shown_again_with_its_problem() -> None:
    problems = (Problem("percentage", "expected a whole number"), Problem("reason", "too short"))
    form = {"percentage": "1O", "reason": "ok"}
    dialog = shown("set-percentage", form=form, problems=problems)
    assert (dialog.fields[0].value, dialog.fields[0].problem) == ("1O", "expected a whole number")
    assert (dialog.reason, dialog.problems["reason"]) == ("ok", "too short")


def test_set_percentage_down_is_no_move_up() -> None:
    down = preview(state(percentage=10), upward=False, share_after=10)
    dialog = shown("set-percentage", fields={"percentage": 10}, preview=previewed(down))
    assert dialog.kind is Kind.DOWN
    assert dialog.button == "Set the share to 10 %"


@pytest.mark.parametrize(
    ("name", "fields", "environment"),
    [
        ("retire-legacy", {}, "production"),
        ("restore", {"to": "before"}, "production"),
        ("disable-provider", {"provider": "legacy"}, "production"),
        ("disable-provider", {"provider": "target"}, ""),
    ],
)
def test_the_name_of_the_environment_is_typed_where_there_is_no_way_back(
    name: str, fields: dict[str, str], environment: str
) -> None:
    dialog = shown(name, fields=fields, preview=previewed())
    assert dialog.environment == environment
    assert (dialog.kind is Kind.NO_WAY_BACK) is bool(environment)


@pytest.mark.parametrize(
    ("name", "upward", "expected"),
    [
        ("step", True, 41),
        ("advance", True, 41),
        ("set-flags", False, 41),
        ("set-percentage", True, 41),
        ("set-percentage", False, None),
        ("rollback", False, None),
        ("hold", False, None),
    ],
)
def test_what_goes_up_or_is_relative_carries_the_version_that_was_seen(
    name: str, expected: int | None, *, upward: bool
) -> None:
    dialog = shown(name, preview=previewed(preview(upward=upward)))
    assert dialog.expected_version == expected


def test_a_version_that_the_form_brought_is_kept() -> None:
    form = {"expectedVersion": "39"}
    assert shown("set-flags", form=form, preview=previewed()).expected_version == 39


def test_a_proposal_says_so_on_its_button() -> None:
    dialog = shown(preview=previewed(preview(code="proposed")))
    assert dialog.button == "Propose the move"


def test_a_provider_has_its_name_in_title_and_button() -> None:
    dialog = shown("disable-provider", fields={"provider": "target"}, form={"provider": "target"})
    assert dialog.title == "Disable Africa's Talking?"
    assert dialog.button == "Disable Africa's Talking"
    assert dialog.fields[0].drawn_as == "hidden"


def test_versions_to_restore_are_offered() -> None:
    field = shown("restore", state=state(backups={"before": 12})).fields[0]
    assert field.options[0] == ("before", "version 12")
    assert [value for value, _ in field.options] == ["before", "last-known-good"]


@pytest.mark.parametrize("name", sorted(EVERY))
@pytest.mark.parametrize("known", [True, False])
def test_every_dialog_has_all_its_words(name: str, *, known: bool) -> None:
    values = {"provider": "legacy", "to": "before"}
    fields = {each.name: values.get(each.name, "1") for each in CATALOGUE[name].fields}
    given = {"preview": previewed(), "fields": fields} if known else {"state": None}
    dialog = shown(name, **given)
    texts = (dialog.title, dialog.button, dialog.undo, *dialog.lines)
    assert not [text for text in texts if "{" in text]


def test_the_last_five_reasons_of_a_person_are_offered_each_once() -> None:
    given = ["a1", "b2", "a1", "c3", "d4", "e5", "f6"]
    entries = [entry(user="amina", command={"name": "step", "reason": each}) for each in given]
    others = [entry(user="joseph", command={"reason": "theirs"}), entry(user="amina", command={})]
    assert reasons_of("amina", [*others, *entries]) == ("a1", "b2", "c3", "d4", "e5")
