"""The three cards that talk, state by state: is it healthy, what happens next, what to decide."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support import console_states as states
from tests.support.console_states import AT, STATES, in_state, viewer
from worker.console.pages.now import Now, now
from worker.console.pages.parts import plain
from worker.console.pages.trend import trend

HEALTHY = "No alarm. Still to prove no worse than Legacy: failures and speed."
PROVED = "Africa's Talking is no worse than Legacy on failures, speed and delivery."
SHUT = (
    "2 of 13 gates still shut. Longest: Failures no worse than Legacy, about 780 messages, 11 min."
)
BAD = "Failed: worse than Legacy (15.1, alarm at 13.2) and bad in itself (14.2, alarm at 13.9)."
ALL = "All messages go to Legacy. Legacy: 98.1 % accepted in the last hour."
BEFORE = "The page shows what was known before."
OVER = "Goes on by itself when it is over."

# state: title and text of the verdict; title and text of what happens next; title and buttons
CARDS = {
    "not-started": (
        "Not started", ALL, "Parallel setup at 1 %", "Every gate is open.", "Begin?", ["Begin…"],
    ),
    "one-percent": (
        "Too early to say",
        "182 messages so far. No alarm. About 410 more prove failures low.",
        "Step to 5 %",
        ("4 of 7 gates still shut. Longest: Non-delivery proved low, reports are judged after "
        "10 min."),
        "Nothing now", ["Step up…", "Set share…", "Hold…"],
    ),
    "running": (
        "Healthy", HEALTHY, "Step to 50 %", SHUT, "Nothing now",
        ["Step up…", "Set share…", "Hold…"],
    ),
    "all-open": (
        "Healthy", PROVED, "Step to 50 %", "Every gate is open.", "Step to 50 %?",
        ["Step up…", "Set share…", "Hold…"],
    ),
    "approval": (
        "Healthy", PROVED, "Step to 50 %", "Every gate is open.", "Proposal 42: 25 % → 50 %",
        ["Approve…", "Reject…"],
    ),
    "own-proposal": (
        "Healthy", PROVED, "Step to 50 %", "Every gate is open.", "Proposal 42: 25 % → 50 %",
        ["Reject…"],
    ),
    "held": (
        "Healthy", HEALTHY, "Step to 50 %", SHUT, "Let automation go on?",
        ["Resume…", "Step up…", "Set share…"],
    ),
    "reports-missing": (
        "Automation holds",
        "No delivery report of Africa's Talking comes. Check that reports reach the webhook.",
        "Step to 50 %", OVER, "Nothing now", ["Set share…", "Roll back…"],
    ),
    "account-refused": (
        "Automation holds",
        ("Africa's Talking refuses our account: 401 invalid API key. Check balance and credentials "
        "of the account."),
        "Step to 50 %", OVER, "Mend the account", ["Reset breaker…", "Roll back…"],
    ),
    "sick-replica": (
        "Automation holds",
        ("Replica 9be2771d fails 212 of its 260 calls to Africa's Talking, the others 3 of 290: "
        "restart or isolate it."),
        "Step to 50 %", OVER, "Nothing now", ["Set share…", "Roll back…"],
    ),
    "common-trouble": (
        "Both providers in trouble",
        "Africa's Talking fails 16.0 %, Legacy 17.0 %. The split stays; single messages fall back.",
        "Step to 50 %", "Nothing goes up while both are in trouble.", "Nothing now",
        ["Set share…", "Hold…"],
    ),
    "locked": (
        "Rolled back, locked",
        "Failed: worse than Legacy (15.8, alarm at 13.2) and bad in itself (16.3, alarm at 13.9).",
        "Parallel setup at 1 %", "Locked until 07:57 UTC (26 min left).", "Find the cause",
        ["Unlock…", "Advance…"],
    ),
    "locked-for-a-person": (
        "Rolled back, locked",
        "Failed: worse than Legacy (15.8, alarm at 13.2) and bad in itself (16.3, alarm at 13.9).",
        "Parallel setup at 1 %", "A person must unlock: 3 automatic moves down within 7 days.",
        "Find the cause", ["Unlock…", "Advance…"],
    ),
    "stepped-back": (
        "Stepped back, locked", "Slow: worse than Legacy (14.8, alarm at 13.9).", "Step to 25 %",
        "Locked until 07:57 UTC (26 min left).", "Find the cause", ["Unlock…", "Step up…"],
    ),
    "rollback-wanted": (
        "Africa's Talking in trouble", BAD, "Automation may not roll back",
        "EnableAutomaticRollback is off.", "Roll back?", ["Roll back…", "Set share…"],
    ),
    "no-way-back": (
        "Africa's Talking in trouble", BAD, "Automation cannot roll back",
        "Legacy is not enabled.", "Roll back?", ["Emergency rollback…", "Set share…"],
    ),
    "suspect": (
        "Too early to say",
        "Failed: worse than Legacy 8.1 of 13.2: above half of the alarm. Nothing goes up.",
        "Step to 50 %", SHUT, "Nothing now", ["Step up…", "Set share…", "Hold…"],
    ),
    "short": (
        "Not good enough yet", "No alarm. Errors 2.40 % of 4,505, required ≤ 2 %.",
        "Step to 50 %", "1 of 13 gates still shut. Errors: 2.40 %.", "Nothing now",
        ["Step up…", "Set share…", "Hold…"],
    ),
    "blind": (
        "Not known", "The monitor has not looked at the outcomes since 07:30:16 UTC.",
        "Step to 50 %", SHUT, "Nothing now", ["Step up…", "Set share…", "Hold…"],
    ),
    "rolled-back": (
        "Rolled back", ALL, "Parallel setup at 1 %", "Every gate is open.", "Begin again?",
        ["Advance…"],
    ),
    "target-disabled": (
        "No traffic", ALL, "Nothing by itself", "Africa's Talking is not enabled.",
        "Enable Africa's Talking?", ["Enable…"],
    ),
    "complete": (
        "Healthy", "No alarm. No comparison at 100 %: Legacy is judged by its probes.",
        "Nothing further",
        "Africa's Talking takes all messages. It stays so until a person retires Legacy.",
        "Nothing now", ["Roll back…", "Set share…", "Hold…"],
    ),
    "store-away": (
        "Store away", "MongoDB does not answer. Nothing is sent; messages wait in the broker.",
        "Not known", "", "Wait for the store", ["Roll back…", "Hold…", "Step up…"],
    ),
    "broker-away": (
        "Not known", f"The broker does not answer. {BEFORE}", "Not known", "", "Not known",
        ["Roll back…", "Set share…", "Hold…"],
    ),
    "no-worker": (
        "No worker answers", "Nothing is sent; messages wait in the broker.", "Not known", "",
        "Start a worker", [],
    ),
    "login-refused": (
        "Not known", f"The broker refuses your login now. {BEFORE}", "Not known", "",
        "Log in again", [],
    ),
    "stale": (
        "Not known", "The newest answer is from 07:31:17 UTC.", "Not known", "", "Not known",
        ["Roll back…", "Set share…", "Hold…"],
    ),
}  # fmt: skip


def page(state: str, role: str = "administrator") -> Now:
    return now(in_state(state), viewer(role), AT, trend)


def labels(shown: Now) -> list[str]:
    return [button.label for button in shown.decide.buttons]


@pytest.mark.parametrize("state", CARDS)
def test_the_cards_say_what_the_state_means(state: str) -> None:
    shown = page(state)
    said = (
        shown.verdict.title, plain(shown.verdict.text), shown.next.title, plain(shown.next.text),
        shown.decide.title, labels(shown),
    )  # fmt: skip
    assert said == CARDS[state]


@pytest.mark.parametrize("state", STATES)
def test_an_observer_has_no_button_in_any_state(state: str) -> None:
    assert labels(page(state, "observer")) == []


@pytest.mark.parametrize("state", STATES)
def test_an_operator_has_only_buttons_of_his_commands(state: str) -> None:
    shown = page(state, "operator")
    assert {button.command for button in shown.decide.buttons} <= states.OPERATORS


def test_an_observer_reads_who_approves() -> None:
    assert plain(page("approval", "observer").decide.text).endswith("An administrator approves.")


def test_who_made_a_proposal_reads_that_somebody_else_must_approve() -> None:
    text = plain(page("own-proposal").decide.text)
    assert text.endswith("Somebody else than you must approve.")


def test_a_hold_of_a_person_stands_beside_the_verdict() -> None:
    shown = page("held")
    assert shown.verdict.held == "Automation holds: amina, “waiting for the bank”"
    assert plain(shown.next.note) == "Nothing goes up by itself"


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({"auto_advance": False}, "Automatic steps are off: a person takes the step"),
        (
            {"auto_advance": True, "require_approval": True},
            "Proposed by itself when all gates are open; a person approves",
        ),
        (
            {"auto_advance": True, "require_approval": False},
            "Steps by itself when all gates are open",
        ),
    ],
)
def test_it_is_said_who_takes_the_step(settings: dict[str, bool], note: str) -> None:
    known = states.known(states.state(flags=states.flags(25, **settings)))
    assert plain(now(known, viewer(), AT, trend).next.note) == note


def test_going_down_is_possible_while_the_store_is_away_and_going_up_is_not() -> None:
    off = {button.label: bool(button.off) for button in page("store-away").decide.buttons}
    assert off == {"Roll back…": False, "Hold…": False, "Step up…": True}


@pytest.mark.parametrize("state", ["old", "stale", "broker-away", "first"])
def test_every_button_is_off_while_nobody_answers(state: str) -> None:
    buttons = page(state).decide.buttons
    assert buttons
    assert all(button.off for button in buttons)


def test_there_is_no_way_back_once_legacy_is_retired() -> None:
    (back,) = [b for b in page("retired").decide.buttons if b.label == "Roll back…"]
    assert back.off


def test_a_share_of_zero_is_shown_as_not_known_where_no_figure_is() -> None:
    rows = {row.name: row.cells[0].text for row in page("not-started").providers.rows}
    assert rows["Attempts"] == "0"
    assert {rows[name] for name in ("Success", "Delivered", "Response p50 / p95")} == {"–"}


def test_the_share_that_is_set_is_named_where_another_is_sent() -> None:
    stand = page("target-disabled").stand
    assert (stand.share, stand.note) == ("0 %", "set: 25 %, but Africa's Talking is not enabled")


def test_the_share_sent_is_named_where_it_is_another() -> None:
    known = states.known(states.state(30, since=AT - timedelta(minutes=40)))
    shown = now(known, viewer(), AT, trend).stand.note
    assert shown.startswith("sent: 25.")


def test_a_percentage_between_two_steps_stands_at_its_place() -> None:
    stand = now(states.known(states.state(17)), viewer(), AT, trend).stand
    assert stand.steps == (5, 10, 17, 25, 50, 75)


def test_the_present_phase_is_marked_on_the_ladder() -> None:
    marked = [rung.name for rung in page("running").stand.ladder if rung.is_present]
    assert marked == ["Gradual migration"]


def test_old_figures_say_from_when_they_are() -> None:
    assert {name: str(when) for name, when in page("store-away").old.items()} == {
        "gates": "07:31:39 UTC",
        "evidence": "07:31:39 UTC",
        "replicas": "07:31:39 UTC",
    }
