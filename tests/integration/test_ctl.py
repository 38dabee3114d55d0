"""`sms-worker ctl` on a real broker, against a worker's side that answers as it is told."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from contracts.control import Status
from contracts.control_decoding import decode_command
from tests.integration.control_side import FLAGS, GATES, ControlSide, replica, state
from tests.support import documentation
from tests.support.proxy import Proxy
from worker.broker.control_client import ControlClient
from worker.cli import app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from click.testing import Result

    Ctl = Callable[..., Any]

WHY = ("--reason", "a test")
SURE = (*WHY, "--yes")
MOVING: list[tuple[list[str], dict[str, Any]]] = [
    (["advance"], {"expectedVersion": 7}),
    (["advance", "--at", "5"], {"at": 5, "expectedVersion": 7}),
    (["advance", "--expect", "3"], {"expectedVersion": 3}),
    (["advance", "--override-gates", "no time"], {"overrideGates": "no time"}),
    (["step"], {"expectedVersion": 7}),
    (["set-percentage", "40"], {"percentage": 40}),
    (["rollback"], {"leaving": "GradualMigration"}),
    (["rollback", "--leaving", "ParallelSetup"], {"leaving": "ParallelSetup"}),
    (["emergency-rollback"], {}),
    (["approve", "9"], {"proposal": 9}),
    (["retire-legacy"], {}),
    (["enable-provider", "legacy"], {"provider": "legacy"}),
    (["disable-provider", "target"], {"provider": "target"}),
    (["restore", "last-known-good"], {"to": "last-known-good"}),
    (["user", "set", "u-7", "legacy"], {"user": "u-7", "provider": "legacy"}),
    (["user", "clear", "u-7"], {"user": "u-7"}),
    (["branch", "set", "12", "target"], {"branch": 12, "provider": "target"}),
    (["branch", "clear", "12"], {"branch": 12}),
]
"""What moves traffic: arguments, and fields of the command they must become."""
STILL: list[tuple[list[str], dict[str, Any]]] = [
    (["reject", "9"], {"proposal": 9}),
    (["hold"], {}),
    (["resume"], {}),
    (["unlock"], {}),
    (["reset-breaker", "target"], {"provider": "target"}),
    (["backup", "before-friday"], {"label": "before-friday"}),
    (["ack", "account"], {"alert": "account"}),
    (["ack", "4f1c09aa", "--provider", "target"], {"alert": "4f1c09aa", "provider": "target"}),
]
NAMES = {
    "user set": "set-user-override",
    "user clear": "clear-user-override",
    "branch set": "set-branch-override",
    "branch clear": "clear-branch-override",
}


def sent_as(arguments: list[str]) -> str:
    return NAMES.get(" ".join(arguments[:2]), arguments[0])


@pytest.fixture
async def side(amqp_url: Callable[[str], str]) -> AsyncIterator[ControlSide]:
    async with ControlSide(amqp_url("worker")) as running:
        yield running


@pytest.fixture
def ctl(amqp_url: Callable[[str], str]) -> Callable[..., Any]:
    """Runs the command line in a thread, as the login of administrator and observer."""
    environment = {
        "AMQP_URL_ADMINISTRATOR": amqp_url("administrator"),
        "AMQP_URL_OBSERVER": amqp_url("observer"),
        "COLUMNS": "80",
    }

    async def run(*arguments: str, stdin: str | None = None) -> Result:
        runner = CliRunner(env=environment)
        return await asyncio.to_thread(runner.invoke, app, ["ctl", *arguments], input=stdin)

    return run


@pytest.mark.parametrize(("arguments", "fields"), MOVING + STILL)
async def test_arguments_become_a_command_with_reason_and_id(
    side: ControlSide, ctl: Ctl, arguments: list[str], fields: dict[str, Any]
) -> None:
    sure = SURE if (arguments, fields) in MOVING else WHY
    result = await ctl(*arguments, *sure)
    assert result.exit_code == 0, result.output
    name = sent_as(arguments)
    asked = side.only(name)
    assert asked.key == f"control.command.{name}"
    assert asked.body | fields | {"reason": "a test", "name": name} == asked.body
    assert asked.body["commandId"]
    assert asked.user == "administrator"
    assert f"{name}: done" in result.stdout


@pytest.mark.parametrize("arguments", [each for each, _ in MOVING])
async def test_what_moves_traffic_is_not_sent_without_a_yes(
    side: ControlSide, ctl: Ctl, arguments: list[str]
) -> None:
    result = await ctl(*arguments, *WHY)
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert not side.named(sent_as(arguments))


@pytest.mark.parametrize("arguments", [each for each, _ in MOVING + STILL])
async def test_nothing_is_changed_without_a_reason(
    side: ControlSide, ctl: Ctl, arguments: list[str]
) -> None:
    result = await ctl(*arguments)
    assert result.exit_code == 2
    assert "--reason" in result.stderr
    assert not side.named(sent_as(arguments))


async def test_an_emergency_asks_the_workers_nothing_first(side: ControlSide, ctl: Ctl) -> None:
    await ctl("emergency-rollback", *SURE)
    assert [each.key for each in side.asked] == ["control.command.emergency-rollback"]


async def test_a_refusal_is_exit_code_one_with_the_gates(side: ControlSide, ctl: Ctl) -> None:
    text = "advance refused by: success; wait for what is missing"
    side.answers["advance"] = {
        "verdict": "refused", "code": "gates", "text": text, "gates": GATES,
    }  # fmt: skip
    result = await ctl("advance", *SURE)
    assert result.exit_code == 1
    assert text in result.stderr
    assert re.search(r"success +>= 98 % +nothing +7 +not enough data", result.stdout)


async def test_a_dry_run_needs_neither_reason_nor_yes_and_tells_shut_gates_by_its_exit_code(
    side: ControlSide, ctl: Ctl
) -> None:
    side.answers["step"] = {"code": "dry-run", "gates": GATES}
    shut = await ctl("step", "--dry-run")
    side.answers["step"] = {"code": "dry-run", "gates": GATES[:1]}
    opened = await ctl("step", "--dry-run")
    assert (shut.exit_code, opened.exit_code) == (1, 0)
    assert all(each.body["dryRun"] for each in side.named("step"))


async def test_every_problem_of_a_refusal_is_shown(side: ControlSide, ctl: Ctl) -> None:
    problems = ("MaxErrorRate: expected a number, got 'x'", "Foo: unknown field")
    side.answers["backup"] = {
        "verdict": "refused", "code": "invalid", "text": "; ".join(problems), "problems": problems,
    }  # fmt: skip
    result = await ctl("backup", "x", *WHY)
    assert result.stderr.splitlines()[1:] == list(problems)


async def test_without_an_answer_the_same_command_goes_out_again(
    side: ControlSide, ctl: Ctl
) -> None:
    side.deaf = 1
    result = await ctl("hold", *WHY)
    assert result.exit_code == 0
    first, second = side.named("hold")
    assert first.raw == second.raw


async def test_no_answer_at_all_is_exit_code_three_and_names_the_command_id(
    side: ControlSide, ctl: Ctl
) -> None:
    side.deaf = 100
    result = await ctl("hold", *WHY, "--timeout", "0.5")
    assert result.exit_code == 3
    assert side.only("hold").body["commandId"] in result.stderr


async def test_a_given_id_is_the_commands(side: ControlSide, ctl: Ctl) -> None:
    await ctl("hold", *WHY, "--id", "deploy-17")
    assert side.only("hold").body["commandId"] == "deploy-17"


async def test_json_is_the_reply_and_nothing_else(side: ControlSide, ctl: Ctl) -> None:
    result = await ctl("advance", *SURE, "--json")
    assert json.loads(result.stdout)["verdict"] == "accepted"
    assert len(side.named("advance")) == 1


async def test_wait_returns_when_every_replica_applied_it_and_holds_no_older_intent(
    side: ControlSide, ctl: Ctl
) -> None:
    stages = [
        [replica("a", 7), replica("b", 8)],
        [replica("a", 8, oldest=7), replica("b", 8)],
        [replica("a", 8, oldest=8), replica("b", 8)],
    ]

    def status(_: object) -> dict[str, Any]:
        return {"data": {"replicas": stages[min(len(side.named("status")), 3) - 1]}, "version": 8}

    side.answers["status"] = status
    result = await ctl("emergency-rollback", *SURE, "--wait")
    assert result.exit_code == 0
    assert len(side.named("status")) == 3
    assert "all of 2 live replicas" in result.stdout


async def test_wait_that_does_not_end_is_exit_code_three_and_names_who_is_behind(
    side: ControlSide, ctl: Ctl
) -> None:
    side.answers["status"] = {"data": {"replicas": [replica("slow-one", 7)]}}
    result = await ctl("emergency-rollback", *SURE, "--wait", "--timeout", "1")
    assert result.exit_code == 3
    assert "slow-one" in result.stderr


async def test_an_observer_is_refused_by_the_broker_itself(side: ControlSide, ctl: Ctl) -> None:
    result = await ctl("hold", *WHY, "--as", "observer")
    assert result.exit_code == 1
    assert "the broker refuses user observer" in result.stderr
    assert not side.asked


async def test_an_observer_may_ask(side: ControlSide, ctl: Ctl) -> None:
    result = await ctl("status", "--as", "observer")
    assert result.exit_code == 0, result.output
    assert side.only("status").user == "observer"


async def test_a_wrong_password_is_refused_at_once(
    ctl: Ctl, amqp_url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = re.sub(r":[^:@/]+@", ":nonsense@", amqp_url("observer"))
    monkeypatch.setenv("AMQP_URL_STRANGER", wrong)
    result = await ctl("status", "--as", "stranger")
    assert result.exit_code == 1
    assert "nonsense" not in result.output


# --- what is shown ---------------------------------------------------------------------------


async def test_status_shows_state_replicas_and_the_next_gates(side: ControlSide, ctl: Ctl) -> None:
    side.answers["status"] = {
        "state": state(),
        "version": 7,
        "data": {
            "replicas": [replica("3f1b", 7), replica("late", 6)],
            "providers": {"africastalking": {"breaker": "closed"}, "legacy": {"breaker": "open"}},
            "next": {
                "command": "advance",
                "to": "LegacyDeprecation at 75 %",
                "shut": ["success"],
            },
            "alerts": ["low balance"],
        },
        "gates": GATES,
    }
    text = (await ctl("status")).stdout
    assert "GradualMigration  25 %" in text
    assert re.search(r"late +6 +\(behind\)", text)
    assert re.search(r"breaker +closed +open", text)
    assert "next: advance to LegacyDeprecation at 75 %" in text
    assert "missing: success" in text
    assert "93 outcomes" in text
    assert re.search(r"alerts +low balance", text)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


async def test_explain_asks_with_user_and_branch(side: ControlSide, ctl: Ctl) -> None:
    side.answers["explain"] = {"text": "", "data": {"provider": "legacy", "reason": "override"}}
    result = await ctl("explain", "0977123456", "--user", "u-7", "--branch", "12")
    asked = side.only("explain").body
    assert (asked["to"], asked["userId"], asked["branchId"]) == ("0977123456", "u-7", 12)
    assert re.search(r"provider +legacy", result.stdout)


@pytest.mark.parametrize("name", ["health", "comparison"])
async def test_figures_of_both_providers_stand_side_by_side(
    side: ControlSide, ctl: Ctl, name: str
) -> None:
    figures = {"africastalking": {"successRate": 99.5}, "legacy": {"successRate": 97.0}}
    side.answers[name] = {"text": "", "data": {"providers": figures}}
    result = await ctl(name, "--hours", "24")
    assert side.only(name).body["hours"] == 24
    assert re.search(r"success rate +99.5 +97", result.stdout)


async def test_a_series_is_drawn_or_printed_as_it_came(side: ControlSide, ctl: Ctl) -> None:
    figures = {name: [1, 3] for name in ("attempts", "accepted", "delivered", "judged", "assigned")}
    figures |= {"errors": [0, 0], "p50Ms": [None, 1.0], "p95Ms": [None, 2.0]}
    answer = {
        "since": "2026-03-01T12:00:00Z", "until": "2026-03-01T12:20:00Z", "slotS": 600,
        "providers": {"africastalking": figures, "legacy": figures},
        "target": "africastalking", "legacy": "legacy", "share": 50, "changes": [],
    }  # fmt: skip
    side.answers["series"] = {"text": "", "data": answer}
    result = await ctl("series", "--hours", "6", "--as", "observer")
    assert side.only("series").body["hours"] == 6
    assert "share sent to Africa's Talking, % (last 50.0)" in result.stdout
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    whole = await ctl("series", "--json")
    assert json.loads(whole.stdout)["data"] == answer


async def test_alerts_are_shown_or_printed_as_they_came(side: ControlSide, ctl: Ctl) -> None:
    alert = {"id": "4f1c09aa-1", "code": "account", "severity": "critical", "reason": "401"}
    side.answers["alerts"] = {"data": {"alerts": [alert | {"open": True, "since": None}]}}
    result = await ctl("alerts", "--as", "observer")
    assert result.stdout == "open: 1\n4f1c09aa  critical  account  since -\n    401\n"
    whole = await ctl("alerts", "--json")
    assert json.loads(whole.stdout)["data"]["alerts"][0]["id"] == "4f1c09aa-1"


def entry(number: int) -> dict[str, Any]:
    return {
        "number": number,
        "at": "2026-01-02T03:04:05+00:00",
        "user": "administrator",
        "command": {"name": "advance", "reason": "because", "overrideGates": "no time"},
        "verdict": "accepted",
        "text": "advance: now",
        "from": "NotStarted 0 %",
        "to": "ParallelSetup 1 %",
        "version": number,
        "gates": [],
    }


def pages(side: ControlSide, total: int) -> None:
    """A log of so many entries."""

    def answer(asked: Any) -> dict[str, Any]:
        newest = asked.body.get("before", total + 1) - 1
        oldest = max(newest - asked.body["limit"], 0)
        return {"text": "", "data": {"entries": [entry(n) for n in range(newest, oldest, -1)]}}

    side.answers["history"] = answer


async def test_history_exports_every_entry_as_json_lines(side: ControlSide, ctl: Ctl) -> None:
    pages(side, 450)
    result = await ctl("history", "--all", "--json")
    numbers = [json.loads(line)["number"] for line in result.stdout.splitlines()]
    assert numbers == list(range(450, 0, -1))
    assert len(side.named("history")) == 3


async def test_history_shows_who_what_and_why(side: ControlSide, ctl: Ctl) -> None:
    pages(side, 3)
    text = (await ctl("history", "--limit", "1")).stdout
    assert "administrator  advance  accepted" in text
    assert "NotStarted 0 % -> ParallelSetup 1 %" in text
    assert "reason: because" in text
    assert "gates overridden: no time" in text
    assert "2  2026" not in text


# --- flags -----------------------------------------------------------------------------------


async def test_flags_show_prints_a_document_that_apply_takes(
    side: ControlSide, ctl: Ctl, tmp_path: Path
) -> None:
    shown = await ctl("flags", "show")
    file = tmp_path / "flags.json"
    file.write_text(shown.stdout)
    applied = await ctl("flags", "apply", str(file))
    assert json.loads(shown.stdout) == FLAGS
    assert (applied.exit_code, applied.stdout) == (0, "no difference\n")
    assert not side.named("set-flags")


async def test_flags_apply_shows_the_difference_and_sends_the_version_it_was_made_against(
    side: ControlSide, ctl: Ctl, tmp_path: Path
) -> None:
    document = json.loads(json.dumps(FLAGS))
    document["MigrationSettings"]["MinimumPhaseTimeMinutes"] = 10
    document["SmsFeatureFlags"]["AfricasTalkingTrafficPercentage"] = 90
    del document["SmsFeatureFlags"]["EnableLegacy"]
    file = tmp_path / "flags.json"
    file.write_text(json.dumps(document))
    result = await ctl("flags", "apply", str(file), *SURE)
    assert result.stdout.splitlines()[:2] == [
        "SmsFeatureFlags.EnableLegacy: true -> (default)",
        "MigrationSettings.MinimumPhaseTimeMinutes: 30.0 -> 10",
    ]
    assert "90 is not applied, 25 stays" in result.stderr
    asked = side.only("set-flags").body
    assert (asked["flags"], asked["expectedVersion"]) == (document, 7)


@pytest.mark.parametrize("text", ["{", "[]"])
async def test_a_flags_file_that_is_no_object_is_wrong_usage(
    ctl: Ctl, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "flags.json"
    file.write_text(text)
    result = await ctl("flags", "apply", str(file), *SURE)
    assert result.exit_code == 2
    assert "expected" in result.stderr


# --- at a terminal ---------------------------------------------------------------------------


def _heeding_ctrl_c() -> None:
    """As in a terminal: what a shell starts in the background inherits that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A command line at a real terminal of 80 columns."""

    def __init__(self, url: str, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 80))
        environment = os.environ | {"AMQP_URL_ADMINISTRATOR": url, "TERM": "xterm"}
        command = [sys.executable, "-m", "worker", "ctl", *arguments]
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            preexec_fn=_heeding_ctrl_c,  # noqa: PLW1509 - it takes no lock
        )
        os.close(slave)
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def shows(self, wanted: str, within_s: float = 20.0) -> None:
        """Read until it shows that, or its end comes."""
        deadline = time.monotonic() + within_s
        while wanted not in self.text:
            assert time.monotonic() < deadline, self.text
            self.text += await asyncio.to_thread(self._read)

    def _read(self) -> str:
        if not select.select([self._master], [], [], 0.2)[0]:
            return ""
        try:
            return os.read(self._master, 65536).decode()
        except OSError:  # the other end is closed
            return ""

    async def end(self, within_s: float = 20.0) -> int:
        """Read until the process ends: who writes to a terminal that nobody reads never ends."""
        deadline = time.monotonic() + within_s
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, self.text
            self.text += await asyncio.to_thread(self._read)
        os.close(self._master)
        return code


async def test_a_person_is_asked_for_the_reason_and_for_a_yes(
    side: ControlSide, amqp_url: Callable[[str], str]
) -> None:
    terminal = Terminal(amqp_url("administrator"), "advance")
    await terminal.shows("reason")
    terminal.type("it is Friday\n")
    await terminal.shows("in force: GradualMigration at 25 %")
    await terminal.shows("advance to the next phase?")
    terminal.type("y\n")
    await terminal.shows("advance: done")
    assert await terminal.end() == 0
    assert side.only("advance").body["reason"] == "it is Friday"


PREVIEW = {
    "accepted": True, "code": "ok", "text": "step: now", "problems": [], "upward": True,
    "after": None, "shareBefore": 25, "shareAfter": 50, "messagesPerHour": 18_000.0,
    "differences": [],
}  # fmt: skip
WHO = {"alerts": [], "target": "africastalking", "legacy": "legacy"}


@pytest.mark.parametrize(
    ("preview", "line"),
    [
        (PREVIEW, "about 4,500 messages an hour move to Africa's Talking"),
        (
            PREVIEW | {"accepted": False, "text": "step refused by: time"},
            "would be refused now: step refused by: time",
        ),
    ],
)
async def test_a_person_is_told_what_moves_before_the_question(
    side: ControlSide, amqp_url: Callable[[str], str], preview: dict[str, Any], line: str
) -> None:
    side.answers["status"] = {"state": state(), "version": 7, "data": WHO}
    side.answers["preview"] = {"data": preview}
    terminal = Terminal(amqp_url("administrator"), "step", *WHY)
    await terminal.shows("go to the next step of the phase?")
    assert line in terminal.text.partition("go to")[0]
    terminal.type("n\n")
    assert await terminal.end() == 1
    asked = side.only("preview").body["command"]
    assert (asked["name"], asked["reason"], asked["expectedVersion"]) == ("step", "a test", 7)
    assert not side.named("step")


@pytest.mark.parametrize("answer", [None, {}, {"verdict": "refused", "code": "invalid"}])
async def test_without_a_preview_a_person_is_asked_all_the_same(
    side: ControlSide, amqp_url: Callable[[str], str], answer: dict[str, Any] | None
) -> None:
    side.answers["preview"] = answer
    terminal = Terminal(amqp_url("administrator"), "step", *WHY)
    await terminal.shows("go to the next step of the phase?")
    assert "messages" not in terminal.text
    terminal.type("y\n")
    await terminal.shows("step: done")
    assert await terminal.end() == 0


async def test_a_yes_beforehand_asks_for_no_preview(side: ControlSide, ctl: Ctl) -> None:
    assert (await ctl("step", *SURE)).exit_code == 0
    assert not side.named("preview")


async def test_a_no_sends_nothing(side: ControlSide, amqp_url: Callable[[str], str]) -> None:
    terminal = Terminal(amqp_url("administrator"), "emergency-rollback", *WHY)
    await terminal.shows("send ALL traffic to legacy, now?")
    terminal.type("n\n")
    await terminal.shows("nothing done")
    assert await terminal.end() == 1
    assert not side.asked


async def test_watch_renews_the_screen_and_says_when_it_cannot(
    side: ControlSide, amqp_url: Callable[[str], str]
) -> None:
    arguments = ("status", "--watch", "--every", "0.1", "--timeout", "0.5")
    terminal = Terminal(amqp_url("administrator"), *arguments)
    await terminal.shows("25 %")
    side.answers["status"] = {"state": state(8, 50), "data": {}}
    await terminal.shows("50 %")
    side.answers["status"] = None
    await terminal.shows("NOT RENEWED")
    terminal.process.send_signal(signal.SIGINT)
    assert await terminal.end() == 0


async def test_a_lost_connection_costs_no_answer(
    side: ControlSide, amqp_url: Callable[[str], str]
) -> None:
    url = amqp_url("administrator")
    async with Proxy(url) as proxy:
        through = re.sub(r"@127.0.0.1:\d+", f"@127.0.0.1:{proxy.port}", url)
        async with ControlClient(through) as client:
            await client.ask(Status(command_id="first"), 5)
            proxy.cut()
            reply = await client.ask(Status(command_id="second"), 10)
    assert reply.command_id == "second"
    assert len(side.named("status")) >= 2


# --- without the command line ----------------------------------------------------------------


@pytest.mark.parametrize(("verdict", "code"), [("accepted", 0), ("refused", 1)])
async def test_the_program_in_the_documentation_is_answered(
    side: ControlSide, amqp_url: Callable[[str], str], tmp_path: Path, verdict: str, code: int
) -> None:
    (tmp_path / "steer.py").write_text(documentation.example("contracts/README.md", "steer.py"))
    side.answers["set-percentage"] = {"verdict": verdict, "text": "as you wish"}
    side.deaf = 1
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(tmp_path / "steer.py"),
        "40",
        env={"AMQP_URL": amqp_url("administrator")},
        stdout=subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert output.decode() == f"{verdict} ok as you wish\n"
    assert process.returncode == code
    first, again = side.named("set-percentage")
    assert first.raw == again.raw
    decode_command(first.raw, "set-percentage")
