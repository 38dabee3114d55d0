"""What a command would do, in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.control_views import ProposalView
from tests.unit.console.steering.made import NAMES, NOW, preview, state
from worker.console.steering.effects import effects
from worker.domain.migration import effect

TARGET, LEGACY = "target", "legacy"


def said(before: Any, after: Any, **fields: Any) -> str:
    shares = {"share_before": before.share, "share_after": after.share}
    return " ".join(effects(preview(after, **(shares | fields)), before, NAMES))


def test_a_move_names_from_and_to_and_how_many_messages() -> None:
    assert said(state(), state(percentage=50)) == (
        "Africa's Talking goes from 25 % to 50 %: "
        "about 4,500 messages an hour move to Africa's Talking."
    )


def test_a_move_down_goes_to_legacy() -> None:
    text = said(state(), state("Rollback", 0), upward=False)
    assert "about 4,500 messages an hour move to Legacy." in text
    assert "The phase becomes Rolled back." in text


@pytest.mark.parametrize("per_hour", [None, 0.0])
def test_without_messages_no_number_is_made_up(per_hour: float | None) -> None:
    text = said(state(), state(percentage=50), messages_per_hour=per_hour)
    assert "no message came lately; what comes moves to Africa's Talking." in text
    assert "about" not in text


def test_what_is_so_already_changes_nothing() -> None:
    answer = preview(code="unchanged", share_after=25).model_copy(update={"after": None})
    assert effects(answer, state(), NAMES) == ("It is so already: nothing changes.",)


def test_who_is_fixed_does_not_move() -> None:
    fixed = {"users": {f"u{n}": TARGET for n in range(12)}, "branches": {"1": LEGACY, "2": LEGACY}}
    text = said(state(**fixed), state(percentage=50, **fixed))
    assert text.endswith(" 12 users and 2 branches are fixed and do not move.")


def test_one_who_is_fixed_does_not_move_either() -> None:
    fixed = {"branches": {"7": LEGACY}}
    text = said(state(**fixed), state(percentage=50, **fixed))
    assert text.endswith(" 1 branch is fixed and does not move.")


def test_who_is_fixed_to_the_target_moves_when_it_loses_its_role() -> None:
    fixed = {"users": {"u1": TARGET, "u2": TARGET, "u3": LEGACY}}
    text = said(state(**fixed), state("Rollback", 0, **fixed), upward=False)
    assert "2 users fixed to Africa's Talking go to Legacy too." in text
    assert text.endswith(" 1 user is fixed and does not move.")


def test_who_is_fixed_to_the_target_moves_when_it_gets_its_role() -> None:
    fixed = {"users": {"u1": TARGET}}
    text = said(state("NotStarted", 0, **fixed), state("ParallelSetup", 1, **fixed))
    assert text.endswith(" 1 user fixed to Africa's Talking goes to Africa's Talking too.")


def test_who_is_fixed_to_legacy_moves_when_it_is_disabled() -> None:
    fixed = {"users": {"u1": LEGACY, "u2": LEGACY}}
    after = state("CompleteMigration", 100, features={"EnableLegacy": False}, **fixed)
    text = said(state("CompleteMigration", 100, **fixed), after)
    assert text == (
        "Africa's Talking keeps 100 %. 2 users fixed to Legacy go to Africa's Talking too."
    )


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ({}, {"users": {"u-17": TARGET}}, "User u-17 is fixed to Africa's Talking."),
        ({"users": {"u-17": TARGET}}, {"users": {"u-17": LEGACY}}, "User u-17 is fixed to Legacy."),
        ({"branches": {"7": LEGACY}}, {}, "Branch 7 is not fixed any more."),
        ({}, {"users": {"a": LEGACY, "b": LEGACY}}, "2 users are fixed to Legacy."),
    ],
)
def test_an_override_names_whom_it_fixes_or_frees(
    before: dict[str, Any], after: dict[str, Any], text: str
) -> None:
    assert said(state(**before), state(**after)) == f"Africa's Talking keeps 25 %. {text}"


def test_a_move_that_needs_a_second_person_says_so() -> None:
    proposed = ProposalView(
        number=42, by="amina", phase="GradualMigration", percentage=50, expires_at=NOW
    )
    text = said(state(), state(proposed=proposed), share_after=50, code="proposed")
    assert "goes from 25 % to 50 %: about " in text
    assert "The phase becomes" not in text
    assert text.endswith("This only proposes it: nothing changes until somebody else approves.")


def test_flags_of_another_version_are_left_out_where_they_cannot_be_read() -> None:
    odd = state().model_copy(update={"flags": {"SmsFeatureFlags": {"UserOverrides": [1]}}})
    assert said(odd, odd.model_copy(update={"flags": {"SmsFeatureFlags": 3}}))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (4_512.0, "about 4,500"), (1_249.0, "about 1,200"), (1_250.1, "about 1,300"),
        (99.6, "about 100"), (12.4, "about 12"), (9.6, "about 10"), (1.0, "about 1"),
        (0.4, "less than one"), (0.0, "less than one"),
    ],
)  # fmt: skip
def test_numbers_have_two_significant_digits(number: float, text: str) -> None:
    assert effect.about(number) == text
