"""What a dialog says after the command was sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from contracts.control import AddSuppression, SetFlags, SetUserOverride, Step
from tests.unit.console.steering.made import (
    NOW,
    OPEN,
    SHUT,
    command,
    entry,
    progress,
    reply,
    state,
)
from worker.console.steering.conflicts import conflict, mover
from worker.console.steering.outcomes import FOLLOW_WITHIN_S, Stage, followed, outcome
from worker.console.steering.progress import Following

ACCEPTED = reply(
    "emergency-rollback", version=42, text="emergency-rollback: now Rollback at 0 %",
    state=state("Rollback", 0, version=42),
)  # fmt: skip


def refused(name: str = "step", **fields: Any) -> Any:
    return reply(name, verdict="refused", **fields)


# --- no answer yet -------------------------------------------------------------------------


def test_at_first_it_is_sent() -> None:
    made = outcome(progress())
    assert (made.stage, made.title, made.lines) == (Stage.SENT, "Sent", ())
    assert made.poll == "/done/7c0f"


def test_without_an_answer_it_is_sent_again_and_done_once() -> None:
    made = outcome(progress(sent=3, elapsed_s=5.0))
    assert made.stage is Stage.UNANSWERED
    assert made.lines == ("No answer yet; sent again with the same id (3). It is done once only.",)
    assert (made.line, made.ident) == ("", "")


def test_after_fifteen_seconds_the_id_and_the_command_line_are_shown() -> None:
    made = outcome(progress(sent=8, elapsed_s=15.0))
    assert made.ident == "7c0f"
    assert made.line == (
        "sms-worker ctl emergency-rollback --as amina -r 'provider is down' --id 7c0f -y --wait"
    )
    assert made.lines[-1] == "History tells whether it was done."
    assert made.poll, "the console keeps trying"


def test_what_the_broker_does_not_take_is_not_called_sent() -> None:
    made = outcome(progress(sent=0, hindrance="the broker: connection refused", elapsed_s=3.0))
    assert made.title == "Not sent yet"
    assert made.lines == ("The broker: connection refused.", "Still trying.")


def test_who_gave_up_says_that_it_may_have_been_done() -> None:
    made = outcome(progress(failure="no worker answered", sent=9))
    assert (made.stage, made.poll) == (Stage.GIVEN_UP, "")
    assert "It is not known whether it was done." in made.lines
    assert "History tells whether it was done." in made.lines
    assert made.line


def test_what_never_left_is_said_to_be_not_sent() -> None:
    made = outcome(progress(failure="the broker: no connection", sent=0))
    assert made.lines == ("The broker: no connection.", "It was not sent.")


def test_a_refusal_of_the_broker_is_a_refusal() -> None:
    text = "the broker refuses user amina"
    made = outcome(progress(failure=text, refused_by_broker=True, sent=0))
    assert (made.stage, made.lines, made.line) == (
        Stage.REFUSED,
        ("The broker refuses user amina.",),
        "",
    )


# --- accepted ------------------------------------------------------------------------------


def test_what_is_accepted_names_the_state_and_the_version() -> None:
    made = outcome(progress(reply=ACCEPTED))
    assert made.title == "Accepted: now Rollback at 0 %, version 42"
    assert (made.stage, made.poll) == (Stage.ACCEPTED, "/followed/42?id=7c0f")


@pytest.mark.parametrize(
    "answer",
    [
        reply("hold", code="unchanged", text="nothing to do: Rollback at 0 %"),
        reply("step", code="proposed", text="proposal 42: GradualMigration at 50 %", version=42),
        reply("ack", text="ack: provider-degraded acknowledged"),
        reply("add-suppression", text="add-suppression: +260*****67: stopped now: every sender"),
    ],
    ids=lambda each: each.name,
)
def test_where_no_message_moves_no_replica_is_waited_for(answer: Any) -> None:
    made = outcome(progress(reply=answer))
    assert (made.stage, made.poll) == (Stage.ACCEPTED, "")
    assert "version" not in made.title
    assert not made.title.startswith(f"Accepted: {answer.name}:")


@pytest.mark.parametrize(
    ("behind", "stage", "line", "final"),
    [
        ((), Stage.FOLLOWED, "2 of 2 replicas follow (0.4 s)", True),
        (("9be2771d11",), Stage.ACCEPTED, "1 of 2 replicas follow", False),
    ],
)
def test_replicas_are_counted_until_all_follow(
    behind: tuple[str, ...], stage: Stage, line: str, *, final: bool
) -> None:
    accepted = outcome(progress(reply=ACCEPTED))
    made = followed(accepted, Following(42, 0.42, live=2, behind=behind))
    assert (made.stage, made.lines, made.poll == "") == (stage, (line,), final)
    assert made.title == accepted.title


def test_a_replica_that_does_not_follow_is_named_at_last() -> None:
    accepted = outcome(progress(reply=ACCEPTED))
    made = followed(accepted, Following(42, FOLLOW_WITHIN_S, live=2, behind=("9be2771d11",)))
    assert (made.stage, made.poll) == (Stage.BEHIND, "")
    assert made.lines == ("Still behind after 60 s: 9be2771d. They refuse to send meanwhile.",)


@pytest.mark.parametrize(
    ("elapsed_s", "line"),
    [
        (1.0, "No live replica is known yet."),
        (FOLLOW_WITHIN_S, "No live replica is known after 60 s: nothing is sent."),
    ],
)
def test_without_a_live_replica_nobody_is_counted(elapsed_s: float, line: str) -> None:
    made = followed(outcome(progress(reply=ACCEPTED)), Following(42, elapsed_s))
    assert made.lines == (line,)


def test_replicas_that_are_not_known_are_asked_for_again() -> None:
    accepted = outcome(progress(reply=ACCEPTED))
    made = followed(accepted, Following(42, 1.0, silence="no worker answered"))
    assert (made.lines, made.poll) == (("no worker answered",), accepted.poll)


# --- refused -------------------------------------------------------------------------------


def test_a_refusal_shows_the_workers_text_and_the_gates() -> None:
    answer = refused(code="gates", text="step: refused by: success", gates=(OPEN, SHUT))
    made = outcome(progress(command(Step), reply=answer))
    assert (made.stage, made.lines) == (Stage.REFUSED, ("refused by: success",))
    assert [line.name for line in made.gates] == ["Success", "Lock"]
    assert made.again == "/dialog/step"


def test_several_problems_are_listed() -> None:
    answer = refused("set-flags", code="invalid", text="set-flags: a; b", problems=("a", "b"))
    made = outcome(progress(reply=answer))
    assert (made.lines, made.problems) == ((), ("a", "b"))


@pytest.mark.parametrize(
    "given",
    [
        command(SetUserOverride, user="0971234567", provider="legacy"),
        command(AddSuppression, number="0971234567"),
    ],
)
def test_what_a_person_typed_never_stands_in_an_address(given: Any) -> None:
    made = outcome(progress(given, reply=refused(given.name, code="invalid", text="no")))
    assert made.again == ""
    assert "0971234567" not in made.poll


# --- somebody else moved -------------------------------------------------------------------


def test_who_moved_meanwhile_is_named() -> None:
    answer = refused(code="version", text="step: expected version 41, 42 is in force")
    made = outcome(progress(command(Step), reply=answer, moved_by=entry()))
    assert made.stage is Stage.CONFLICT
    assert made.lines == ("joseph stepped to 50 % 8 s ago. Look again.",)
    assert made.again == "/dialog/step"


def test_flags_that_lost_are_compared_with_those_that_won() -> None:
    theirs = state(version=42).model_copy(update={"flags": {"MaxOdd": 1, "Same": True}})
    given = command(SetFlags, flags={"MaxOdd": 2, "Same": True})
    made = outcome(progress(given, reply=refused("set-flags", code="version", state=theirs)))
    assert made.stage is Stage.CONFLICT
    assert made.compared is not None
    assert made.compared.differences == ("MaxOdd: 1 -> 2",)
    assert made.compared.version == 42
    assert '"MaxOdd": 1' in made.compared.theirs
    assert '"MaxOdd": 2' in made.compared.yours
    assert outcome(progress(command(Step), reply=refused(code="version"))).compared is None


def test_without_the_history_nobody_is_blamed() -> None:
    made = outcome(progress(command(Step), reply=refused(code="version", text="")))
    assert made.lines == ("Somebody else changed something meanwhile. Look again.",)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": "automatic-step-back", "user": "(monitor)", "to": "ParallelSetup 5 %",
          "code": "automatic-step-back"}, "Automation stepped back to 5 %"),
        ({"name": "rollback", "to": "ParallelSetup 5 %"},
         "joseph rolled back to Parallel setup at 5 %"),
        ({"name": "emergency-rollback", "to": "Rollback 0 %"}, "joseph sent everything to Legacy"),
        ({"name": "set-flags"}, "joseph changed the flags"),
        ({"name": "step", "code": "proposed"}, "joseph made a proposal"),
        ({"name": "evidence-anew", "user": "(monitor)"}, "Automation gave evidence-anew"),
    ],
)  # fmt: skip
def test_each_move_has_its_words(fields: dict[str, Any], text: str) -> None:
    assert conflict(entry(**fields), NOW) == f"{text} 8 s ago. Look again."


def test_the_newest_entry_that_changed_the_version_is_the_one() -> None:
    entries = [
        entry(number=53, verdict="refused", version=43),
        entry(number=52, code="dry-run", version=43),
        entry("hold", number=51, version=43),
        entry(number=50, version=42, at=NOW - timedelta(minutes=1)),
        entry(number=49, version=41),
    ]
    found = mover(entries, 41)
    assert found is not None
    assert found.number == 51
    assert mover(entries[-1:], 41) is None
    assert mover([], None) is None
