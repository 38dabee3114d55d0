"""The tables of the page: gates, evidence, providers, replicas, alerts, history, the trend."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from contracts.answers import HistoryAnswer
from tests.support import console_figures as figures
from tests.support import console_states as states
from tests.support.console_states import AT, NOW, viewer
from worker.console.known import Known, Told
from worker.console.pages.now import Now, now
from worker.console.pages.parts import plain
from worker.console.pages.trend import LEAST, trend

if TYPE_CHECKING:
    from worker.console.pages.alerts import Alerts


def page(known: Known, role: str = "administrator") -> Now:
    return now(known, viewer(role), AT, trend)


def with_alerts(*alerts: dict[str, object], role: str = "administrator") -> Now:
    return page(states.known(alerts=list(alerts)), role)


# --- gates ---------------------------------------------------------------------------------


def test_shut_gates_stand_first_with_what_is_missing() -> None:
    rows = page(states.running()).gates.rows
    assert [(row.name, row.missing) for row in rows[:3]] == [
        ("Failures no worse than Legacy", "about 780 messages, 11 min"),
        ("Slowness no worse than Legacy", "about 520 messages, 7 min"),
        ("Lock", ""),
    ]


def test_gates_beyond_nine_rows_are_named_in_one_line() -> None:
    gates = page(states.running()).gates
    assert (len(gates.rows), gates.open, gates.total) == (8, 11, 13)
    assert gates.rest.startswith("and 5 more that are open: No alarm near, Share as set,")


def test_too_little_data_is_no_pass_and_no_failure() -> None:
    (first, *_) = page(states.running()).gates.rows
    assert (first.verdict, first.icon, first.is_open) == ("not enough data", "…", False)


def test_a_gate_that_does_not_apply_is_open_and_says_so() -> None:
    asked = [*states.begin_gates(), states.gate("delivery", ">= 98 %", "-", "not applicable")]
    gates = page(states.known(asked=asked)).gates
    assert (gates.rows[-1].verdict, gates.open) == ("does not apply", 3)


def test_a_lock_says_when_it_ends() -> None:
    lock = page(states.locked()).gates.rows[0]
    assert (plain(lock.measured), lock.missing) == (
        "until 07:57 UTC",
        "ends by itself, or unlock",
    )
    lasting = page(states.locked_for_a_person()).gates.rows[0]
    assert (plain(lasting.measured), lasting.missing) == ("locked", "a person must unlock")


def test_gates_of_an_advance_are_called_those_of_the_next_phase() -> None:
    assert page(states.not_started()).gates.title == "Gates to the next phase"
    assert page(states.running()).gates.title == "Gates to the next step"


# --- evidence ------------------------------------------------------------------------------


def test_evidence_is_shown_against_its_alarm() -> None:
    failed, *_ = page(states.common_trouble()).evidence.signals
    assert (failed.relative.text, failed.relative.is_alarm) == ("3.4 of 13.2", False)
    assert (failed.absolute.text, failed.absolute.is_alarm) == ("14.6 of 13.9", True)
    assert failed.counted == "Africa's Talking: 50 of 4,505; Legacy: 257 of 13,495"


def test_evidence_after_a_rollback_is_that_of_the_decision() -> None:
    evidence = page(states.locked()).evidence
    assert (evidence.at, evidence.number) == (AT - timedelta(hours=0.1), 36)
    assert evidence.signals[0].relative.text == "15.8 of 13.2"


def test_evidence_of_a_decision_is_read_from_the_alert_where_the_history_has_it_not() -> None:
    known = states.locked()
    empty = Told(known.whole.reply, HistoryAnswer(entries=[]), NOW)
    evidence = page(replace(known, history=empty)).evidence
    assert (evidence.at, evidence.number) == (AT - timedelta(minutes=6), None)
    assert evidence.signals[0].relative.text == "15.8 of 13.2"


def test_no_evidence_is_shown_without_traffic() -> None:
    evidence = page(states.not_started()).evidence
    assert (evidence.nothing, evidence.signals) == (
        "None is gathered while it has no traffic.",
        (),
    )


# --- providers -----------------------------------------------------------------------------


def test_differences_say_which_provider_is_better() -> None:
    rows = {row.name: row for row in page(states.running()).providers.rows}
    assert rows["Response p50 / p95"].text == "162 ms faster"
    assert rows["Cost, delivered message"].text == "saves USD 545 a day"
    assert rows["Success"].title.startswith("+0.8 points against Legacy, 95 % interval +0.")
    slower = page(states.known(target={"p95_ms": 900.0})).providers.rows
    assert slower[3].text == "106 ms slower"


def test_a_breaker_that_is_open_on_some_replicas_says_on_how_many() -> None:
    *_, breakers = page(states.common_trouble()).providers.rows
    assert [cell.text for cell in breakers.cells] == ["half open on 1 of 2", "closed"]


# --- replicas ------------------------------------------------------------------------------


def test_replicas_in_trouble_stand_first_and_the_rest_is_counted() -> None:
    names = [f"r-{number}" for number in range(4)]
    listed = [states.replica(name) for name in names]
    listed += [
        states.replica("behind", 40),
        states.replica("idle", consuming=False),
        states.replica("broken", breakers={"legacy": "open"}, faults={"africastalking": "401"}),
    ]
    replicas = page(states.known(replicas=listed)).replicas
    assert [(row.name, row.version, row.trouble) for row in replicas.rows] == [
        ("behind", "version 40, behind", ""),
        ("idle", "version 41", "takes no messages"),
        ("broken", "version 41", "Legacy: breaker open; account refused"),
    ]
    assert (len(replicas.more), replicas.live) == (4, "7 live")


# --- alerts --------------------------------------------------------------------------------


def test_alerts_stand_by_severity_and_those_that_are_taken_on_last() -> None:
    warning = states.alert(5, "warning", "w")
    critical = states.alert(6, "critical", "c", since=states.ago(hours=3))
    taken = states.TAKEN | {"severity": "critical", "reason": "t"}
    shown = with_alerts(warning, taken, critical).alerts
    assert [row.reason for row in (*shown.rows, *shown.more)] == ["c", "w", "t"]
    assert (shown.open, shown.urgent) == (3, 1)


def test_a_critical_event_stands_until_somebody_had_an_hour_for_it() -> None:
    event = states.alert(7, "critical", "rolled back", open=False)

    def taken(**ago: int) -> Alerts:
        by = states.TAKEN["acknowledged"] | {"at": states.ago(**ago)}
        return with_alerts(event | {"acknowledged": by}).alerts

    fresh, old = taken(minutes=59), taken(minutes=61)
    assert with_alerts(event).alerts.open == 1
    assert [(row.reason, row.taken_by) for row in fresh.rows] == [("rolled back", "amina")]
    assert (fresh.open, old.rows, old.over) == (0, (), 1)


def test_an_alert_that_is_over_is_only_counted() -> None:
    over = states.alert(8, "critical", "x", open=False, overAt=AT, overReason="again")
    shown = with_alerts(over).alerts
    assert (shown.rows, shown.over) == ((), 1)


def test_only_who_may_acknowledge_can_take_an_alert_on() -> None:
    assert with_alerts(states.LOW_BALANCE).alerts.rows[0].can_take
    assert not with_alerts(states.LOW_BALANCE, role="observer").alerts.rows[0].can_take
    taken = with_alerts(states.TAKEN).alerts.rows[0]
    assert (taken.can_take, taken.taken_by) == (False, "amina")


def test_alerts_are_not_said_to_be_none_before_they_are_known() -> None:
    assert not page(Known(now=NOW)).alerts.is_known


# --- history -------------------------------------------------------------------------------


def test_history_says_what_moved_who_did_it_and_why() -> None:
    first, *_ = page(states.running()).history.rows
    assert (first.what, first.who, first.why) == (
        "10 % → 25 %",
        "amina",
        "all gates open, week 2",
    )


def test_history_leaves_out_what_changed_nothing() -> None:
    entry = states.entries()[0]
    log = [
        entry | {"code": "dry-run"},
        entry | {"code": "unchanged"},
        entry | {"verdict": "refused", "code": "gates"},
        entry | {"command": {"name": "hold", "reason": "bank"}, "shareBefore": 25},
    ]
    rows = page(states.known(log=log)).history.rows
    assert [(row.what, row.why) for row in rows] == [("Hold", "bank")]


def test_history_reads_the_share_of_an_older_worker_from_its_words() -> None:
    entry = states.entries()[0]
    del entry["shareBefore"], entry["shareAfter"]
    older = entry | {"from": "GradualMigration 10 %", "to": "GradualMigration 25 %"}
    assert page(states.known(log=[older])).history.rows[0].what == "10 % → 25 %"
    first = entry | {"from": None}
    assert page(states.known(log=[first])).history.rows[0].what == "Step"


# --- trend ---------------------------------------------------------------------------------


def test_the_table_of_the_trend_has_the_share_sent_and_set_by_hour() -> None:
    shown = trend(figures.series(AT))
    assert shown.title == "Last 24 hours"
    assert 20 <= len(shown.rows) <= 25
    last = shown.rows[-1]
    assert (last.share, float(last.sent.removesuffix(" %")) > 24.0) == ("25 %", True)
    first = shown.rows[0]
    assert (first.share, first.target_failed) == ("0 %", "–")


def test_a_provider_without_any_outcome_has_no_failures_rather_than_none() -> None:
    shown = trend(figures.series(AT, ()))
    assert "Africa&#39;s Talking not known; Legacy" in shown.failures


def test_few_outcomes_are_taken_together_so_that_one_failure_is_no_peak() -> None:
    series = figures.series(AT, ())
    quiet = series.providers["africastalking"]
    errors, accepted = list(quiet.errors), list(quiet.accepted)
    errors[-6], accepted[-6:] = 1, [2, LEAST, LEAST, LEAST, LEAST, LEAST]
    providers = {
        **series.providers,
        "africastalking": quiet.model_copy(update={"errors": errors, "accepted": accepted}),
    }
    shown = trend(series.model_copy(update={"providers": providers}))
    highest = 100 / (3 + LEAST)
    assert f"0.0 to {highest:.1f} %" in shown.failures


def test_a_provider_that_the_answer_does_not_have_breaks_nothing() -> None:
    series = figures.series(AT)
    alone = {"legacy": series.providers["legacy"]}
    shown = trend(series.model_copy(update={"providers": alone}))
    assert shown.rows[0].target_failed == "–"


def test_a_period_of_days_is_said_in_days() -> None:
    week = figures.series(AT).model_copy(update={"since": AT - timedelta(days=7)})
    assert trend(week).title == "Last 7 days"
