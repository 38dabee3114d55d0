"""What `ctl` makes of options, and how it shows what it was told; nothing is asked here."""

from __future__ import annotations

import inspect
import io
import logging
import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import pytest
from rich.console import Console
from typer.testing import CliRunner

from contracts.control import COMMANDS, QUERIES, ControlReply
from contracts.control_views import GateView, StateView
from contracts.events import SmsSent
from worker.cli import addresses, app, main, send
from worker.cli.ctl.alerts import alerts_parts
from worker.cli.ctl.screen import answer_parts, history_parts, status_parts
from worker.cli.ctl.views import gate_table, plain, print_reply, words
from worker.cli.options import Asking, Changing, Raising, options

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Gear(StrEnum):
    FIRST = "first"


def printed(parts: Iterable[Any], width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width, highlight=False).print(*parts, sep="\n")
    return file.getvalue()


def reply(**fields: Any) -> ControlReply:
    known = {"command_id": "c", "name": "status", "verdict": "accepted", "code": "ok", "text": ""}
    return ControlReply(**{**known, "at": AT, **fields})


def gate(**fields: Any) -> GateView:
    known = {"gate": "time", "required": "30 min", "measured": "1 min", "verdict": "fail"}
    return GateView(**{**known, **fields})


# --- options ---------------------------------------------------------------------------------


def test_a_command_gets_its_own_options_and_those_it_shares() -> None:
    seen: list[object] = []

    @options(Changing)
    def command(given: Changing, *, number: int) -> None:
        seen.extend((given, number))

    command(number=3, as_json=True, timeout=1.0, login="x", reason="y", ident=None, expect=None)
    assert seen == [Changing(as_json=True, timeout=1.0, login="x", reason="y"), 3]


def test_own_options_come_first() -> None:
    @options(Asking)
    def command(given: Asking, *, number: int) -> None:
        """Do nothing."""

    assert next(iter(inspect.signature(command).parameters)) == "number"


def test_groups_widen() -> None:
    assert issubclass(Raising, Asking)


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No address anywhere."""
    for name in ("AMQP_URL", "AMQP_URL_ADMINISTRATOR", "SMS_CTL_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(addresses, "DIRECTORY", tmp_path)


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize("arguments", [["status"], ["hold", "-r", "why"], ["status", "--watch"]])
def test_without_a_broker_the_missing_variable_is_named(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["ctl", *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith("AMQP_URL_ADMINISTRATOR: expected the address of the broker")


@pytest.mark.usefixtures("nothing")
def test_a_broker_that_is_away_is_exit_code_three_in_one_line_without_the_password() -> None:
    environment = {"AMQP_URL": "amqp://administrator:secret@127.0.0.1:1/"}
    arguments = ["ctl", "hold", "-r", "why", "--timeout", "0.3"]
    result = CliRunner(env=environment).invoke(app, arguments)
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 1
    assert "the broker" in result.stderr
    assert "secret" not in result.output


@pytest.mark.usefixtures("nothing")
def test_libraries_add_no_lines_of_their_own_about_a_broker_that_is_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("root", "aiormq", "aio_pika"):  # as in a process of its own, without pytest's
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    monkeypatch.setenv("AMQP_URL", "amqp://administrator:secret@127.0.0.1:1/")
    command = ["sms-worker", "ctl", "hold", "-r", "why", "--timeout", "0.3"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["hold", "-r", "no"], "--reason"),
        (["set-percentage", "101", "-r", "why", "-y"], "PERCENT"),
        (["set-percentage", "x", "-r", "why", "-y"], "PERCENT"),
        (["backup", "a\nb", "-r", "why"], "label"),
        (["hold", "-r", "why", "--id", "é"], "--id"),
        (["explain", "1", "--branch", "north"], "--branch"),
        (["flags", "apply", "no-such-file"], "no-such-file"),
    ],
)
def test_what_the_contract_forbids_is_wrong_usage_and_named(
    arguments: list[str], named: str
) -> None:
    result = CliRunner(env={"AMQP_URL": "amqp://a:b@127.0.0.1:1/"}).invoke(app, ["ctl", *arguments])
    assert result.exit_code == 2
    assert named in result.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["hold", "-r", "xx"], '--reason: expected at least 3 characters, got "xx"'),
        (
            ["hold", "-r", "x" * 501],
            "--reason: expected at most 500 characters, got 501 characters",
        ),
        (["backup", "", "-r", "why"], 'label: expected at least 1 character, got ""'),
        (
            ["hold", "-r", "why", "--id", "\u00e9"],
            '--id: expected printable ASCII characters without a blank at either end, got "\u00e9"',
        ),
        (
            ["backup", "a\nb", "-r", "why"],
            'label: expected one line without control characters, got "a\ufffdb"',
        ),
    ],
)
def test_a_value_that_does_not_fit_is_answered_with_what_was_expected(
    arguments: list[str], line: str
) -> None:
    result = CliRunner(env={"AMQP_URL": "amqp://a:b@127.0.0.1:1/"}).invoke(app, ["ctl", *arguments])
    assert (result.exit_code, result.stderr) == (2, f"{line}\n")


def test_every_command_and_query_of_the_contract_can_be_given() -> None:
    shown = CliRunner().invoke(app, ["ctl", "--help"]).output
    grouped = {"set-flags", "add-suppression", "remove-suppression"} | {
        f"{verb}-{what}-override" for verb in ("set", "clear") for what in ("user", "branch")
    }
    asked_by_others = {"preview"}  # each command that moves traffic asks it
    names = {each.model_fields["name"].default for each in COMMANDS + QUERIES}
    names -= grouped | asked_by_others
    assert not {name for name in names | {"flags", "user", "branch"} if f" {name} " not in shown}


# --- how it looks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "yes"),
        (0, "0"),
        (99.5, "99.5"),
        (100.0, "100"),
        (0.0, "0"),
        ([], "none"),
        (["a", 1], "a, 1"),
        ({"p95Ms": 3.0}, "p95 ms 3"),
        (0.004, "0.004"),
        (-0.00012, "-0.00012"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.0000001"), "0.0000001"),
        ({"amount": "1.50", "currency": "ZMW"}, "1.50 ZMW"),
        ({"ZMW": "1.50"}, "ZMW 1.50"),
        (Gear.FIRST, "first"),
        (AT, "2026-01-02 03:04:05 UTC"),
        (frozenset({"a"}), "a"),
        ({"list": [{"on": True}, None]}, "list on yes, -"),
    ],
)
def test_a_value_is_shown_as_people_write_it(value: Any, shown: str) -> None:
    assert plain(value) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("oldestUnsent", "oldest unsent"),
        ("errorsByClass", "errors by class"),
        ("p95Ms", "p95 ms"),
        ("ZMW", "ZMW"),
        ("XXX", "XXX"),
        ("africastalking", "africastalking"),
    ],
)
def test_a_wire_name_becomes_words_and_a_code_stays(name: str, shown: str) -> None:
    assert words(name) == shown


def test_the_status_shows_what_was_spent_by_currency() -> None:
    figures = {"accepted": 1, "cost": {"ZMW": "1.5000"}}
    text = printed(status_parts(reply(data={"providers": {"legacy": figures}})))
    assert re.search(r"^cost: ZMW +1\.5000$", text, re.MULTILINE)


PYTHON: Final = re.compile(r"[{}\[\]]|None|True|False|Decimal|<|'")
"""What only a programmer writes."""


def test_no_view_shows_a_value_as_python_writes_it() -> None:
    odd = {
        "cost": {"ZMW": "1.5", "XXX": None},
        "list": [{"a": None}, True, ["b"]],
        "nested": {"deep": {"deeper": [False]}},
        "nothing": None,
    }
    alert = {"id": "1", "severity": "warning", "code": "c", "reason": "r", "evidence": odd}
    monitor = {"lookedAt": "2026-03-01T12:00:00+00:00", "evidence": {"failed": odd}}
    status = {"providers": {"a": odd, "b": {}}, "monitor": monitor, "alerts": [], **odd}
    parts = [
        *status_parts(reply(data=status)),
        *answer_parts(reply(data={"providers": {"a": odd}, **odd})),
        *alerts_parts(reply(data={"alerts": [alert]})),
        *history_parts({"number": 1, "user": None, "command": {}, "to": None}),
    ]
    text = printed(parts)
    assert PYTHON.findall(text) == []
    assert max(map(len, text.splitlines())) <= 80


def test_an_event_is_printed_as_people_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    event = SmsSent.model_validate(
        {
            "eventId": "0b7c9dd4-3a38-5c2e-8c7a-1f2f3b6f9a01",
            "occurredAt": AT,
            "messageId": "m-1",
            "provider": "legacy",
            "providerMessageId": None,
            "attempt": 1,
            "segments": 1,
            "cost": {"amount": "1.50", "currency": "ZMW"},
            "reason": "percentage",
            "durationMs": 2.5,
        }
    )
    send._print(event)
    shown = capsys.readouterr().out
    assert "cost=1.50 ZMW" in shown
    assert PYTHON.findall(shown) == []


def test_a_gate_says_what_is_missing_and_nothing_is_cut() -> None:
    missing = " ".join(f"word{number}" for number in range(60))
    text = printed([gate_table([gate(missing=missing)])])
    assert re.findall(r"word\d+", text) == missing.split()
    assert max(map(len, text.splitlines())) <= 80


def test_the_status_of_an_empty_store_says_so() -> None:
    assert "nothing is in force yet" in printed(status_parts(reply(data={})))


def test_the_status_names_lock_and_proposal() -> None:
    state = StateView(
        version=3,
        phase="Rollback",
        percentage=0,
        is_rollback_available=False,
        locked="automatic rollback",
        proposal="3: ParallelSetup at 1 % by a",
        flags={},
    )
    text = printed(status_parts(reply(state=state, version=3, data={})))
    assert "automatic rollback" in text
    assert "3: ParallelSetup at 1 % by a" in text
    assert re.search(r"way back +none", text)


@pytest.mark.parametrize(
    ("share", "head"),
    [
        (None, "GradualMigration  25 %\n"),
        (25, "GradualMigration  25 %\n"),
        (100, "GradualMigration  25 %  (sent to the target: 100 %)\n"),
    ],
)
def test_the_status_says_what_is_sent_where_it_is_not_the_percentage(
    share: int | None, head: str
) -> None:
    state = StateView(
        version=3,
        phase="GradualMigration",
        percentage=25,
        is_rollback_available=False,
        share=share,
        since=AT,
        flags={},
    )
    text = printed(status_parts(reply(state=state, version=3, data={})))
    assert text.startswith(head)
    assert re.search(r"^share since +2026-01-02 03:04:05 UTC$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("versions", "title"),
    [
        ([], "replicas: 0 live"),
        ([None], "replicas: 1 live"),
        (["0.1.0", "0.1.0"], "replicas: 2 live, version 0.1.0"),
        (["0.2.0", "0.1.0"], "replicas: 2 live, 1 of version 0.1.0, 1 of version 0.2.0"),
        (["0.2.0", None], "replicas: 2 live, 1 of version 0.2.0"),
    ],
)
def test_the_status_says_which_versions_of_the_program_run(
    versions: list[str | None], title: str
) -> None:
    replicas = [{"replica": f"r-{n}", "software": each} for n, each in enumerate(versions)]
    text = printed(status_parts(reply(data={"replicas": replicas})))
    assert title in map(str.rstrip, text.splitlines())


@pytest.mark.parametrize(
    ("before", "after", "shown"), [(10, 25, True), (25, 25, False), (None, 25, False)]
)
def test_the_history_says_how_the_share_changed_where_it_is_known(
    before: int | None, after: int, *, shown: bool
) -> None:
    entry = {"number": 1, "command": {}, "shareBefore": before, "shareAfter": after}
    text = printed(history_parts(entry))
    assert (f"    sent to the target: {before} % -> {after} %" in text.splitlines()) is shown


def test_the_history_says_that_a_dry_run_changed_nothing() -> None:
    command = {"name": "advance", "dryRun": True}
    entry = {"number": 4, "command": command, "verdict": "accepted", "text": "would be refused"}
    text = printed(history_parts(entry))
    assert "accepted  (dry run: nothing was changed)" in text
    assert "would be refused" in text


@pytest.mark.parametrize(
    ("held", "reason", "shown"),
    [
        (False, None, "not held"),
        (True, None, "held until resume"),
        (True, "ann (rollback): complaints", "held until resume by ann (rollback): complaints"),
    ],
)
def test_the_status_says_who_holds_automation_and_why(
    reason: str | None, shown: str, *, held: bool
) -> None:
    state = StateView(
        version=3,
        phase="GradualMigration",
        percentage=10,
        is_rollback_available=True,
        held=held,
        held_reason=reason,
        flags={},
    )
    assert shown in printed(status_parts(reply(state=state, version=3, data={})))


def test_the_status_shows_what_is_not_closed_of_the_breakers() -> None:
    breakers = {"africastalking": "open", "legacy": "closed"}
    faults = {"africastalking": "balance: used up"}
    data = {"replicas": [{"replica": "r", "applied": 1, "breakers": breakers, "faults": faults}]}
    text = printed(status_parts(reply(version=1, data=data)), width=200)
    assert "africastalking open (balance: used up)" in text
    assert "legacy closed" not in text


def test_the_status_says_which_command_asks_the_gates_it_shows() -> None:
    time, success = gate(), gate(gate="success", required=">= 95 %")
    higher = gate(gate="success", required=">= 98 %")
    advance = [each.model_dump(by_alias=True) for each in (time, higher)]
    data = {
        "next": {"command": "step", "to": "GradualMigration at 50 %", "shut": ["time"]},
        "advance": {
            "command": "advance",
            "to": "LegacyDeprecation at 75 %",
            "shut": ["time", "success"],
            "gates": advance,
        },
    }
    text = printed(status_parts(reply(data=data, gates=(time, success))))
    step, _, further = text.partition("further: advance to LegacyDeprecation at 75 %\n")
    assert "next: step to GradualMigration at 50 %\nmissing: time\n" in step
    assert "gates that `ctl step` asks:" in step
    assert re.findall(r"^(time|success) +(.*?)  ", step, re.MULTILINE) == [
        ("time", "30 min"), ("success", ">= 95 %"),
    ]  # fmt: skip
    assert further.startswith("missing: time, success\n")
    assert "gates that `ctl advance` asks, where they differ from those above:" in further
    assert re.findall(r"^(time|success) +(.*?)  ", further, re.MULTILINE) == [
        ("success", ">= 98 %")
    ]


def test_the_status_says_what_the_monitor_holds_for_and_how_near_the_alarms_are() -> None:
    monitor = {
        "lookedAt": "2026-03-01T12:00:00+00:00",
        "holding": "hold: common trouble",
        "evidence": {"failed": "target 3 of 25; worse than legacy 1.0 (alarm at 13.2)"},
    }
    text = printed(status_parts(reply(data={"monitor": monitor})))
    assert "looked at 2026-03-01 12:00:00 UTC" in text
    assert "hold: common trouble" in text
    assert "failed: target 3 of 25; worse than legacy 1.0 (alarm at 13.2)" in text


def test_figures_that_are_nothing_everywhere_are_left_out_of_the_status() -> None:
    providers = {"a": {"accepted": 3, "cost": None}, "b": {"accepted": 0, "cost": None}}
    text = printed(status_parts(reply(data={"providers": providers})))
    assert "accepted" in text
    assert "cost" not in text


def test_health_shows_every_figure_and_a_row_for_each_of_a_group() -> None:
    providers = {"a": {"accepted": 0, "errorsByClass": {"account": 2}}, "b": {"accepted": 0}}
    text = printed(answer_parts(reply(data={"hours": 1.0, "providers": providers})))
    assert "accepted" in text
    assert "errors by class: account  2  -" in text


def test_a_refused_entry_of_the_history_says_why() -> None:
    entry = {
        "number": 4, "at": "2026-01-02T03:04:05+00:00", "user": "bob", "verdict": "refused",
        "command": {"name": "advance", "reason": "go"}, "text": "advance: bob is observer",
        "from": "NotStarted 0 %", "to": "NotStarted 0 %", "version": 3,
    }  # fmt: skip
    assert "advance: bob is observer" in printed(history_parts(entry))


def test_a_terminal_code_in_a_text_does_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    entry = {"number": 1, "command": {"name": "advance", "reason": "\x1b[2J"}, "verdict": "x"}
    parts = [*history_parts(entry), *answer_parts(reply(data={"reason": "\x1b[2J"}))]
    assert "\x1b" not in printed(parts)
    print_reply(reply(text="\x1b[2Jtext"), as_json=False)
    assert "\x1b" not in capsys.readouterr().out
