"""`sms-worker ctl` against two real workers: both sides agree on what crosses the wire."""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tests.support import documentation
from worker.cli import app
from worker.lab.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from click.testing import Result

    from worker.lab.local.broker import Broker

    Ctl = Callable[..., Any]

SURE = ("--reason", "a test", "--yes")
OVER = ("--override-gates", "no time to wait")


@pytest.fixture(scope="module")
async def stack(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongo_url: str
) -> AsyncIterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        for user, url in broker.urls.items():
            patch.setenv(f"AMQP_URL_{user.upper()}", url)
        patch.setenv("AMQP_URL", broker.urls["worker"])
        patch.setenv("MONGO_URL", mongo_url)
        profile = {"SMS_MONGO_DATABASE": f"ctl_{os.urandom(4).hex()}"}
        directory = tmp_path_factory.mktemp("stack")
        async with Stack(directory, replicas=2, profile=profile) as running:
            yield running


@pytest.fixture
def ctl(stack: Stack) -> Ctl:
    environment = {
        "AMQP_URL_ADMINISTRATOR": stack.amqp["administrator"],
        "AMQP_URL_OBSERVER": stack.amqp["observer"],
        "COLUMNS": "80",
    }

    async def run(*arguments: str, code: int = 0) -> Result:
        runner = CliRunner(env=environment)
        result = await asyncio.to_thread(runner.invoke, app, ["ctl", *arguments])
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
async def started(ctl: Ctl) -> None:
    """Nothing moved yet: the phase before the first advance, or the one after a rollback."""
    await ctl("emergency-rollback", *SURE, "--wait")


def version(result: Result) -> int:
    found = re.search(r"^version +(\d+)$", result.stdout, re.MULTILINE)
    assert found is not None, result.stdout
    return int(found[1])


@pytest.mark.usefixtures("started")
async def test_status_shows_both_replicas_and_the_gates_of_the_next_move(ctl: Ctl) -> None:
    text = (await ctl("status")).stdout
    assert "Rollback  0 %" in text
    assert "replicas: 2 live" in text
    assert "next: advance to ParallelSetup at 1 %" in text
    assert re.search(r"lock +none +none +- +pass", text)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.usefixtures("started")
async def test_a_move_is_applied_by_all_and_shown_by_status_and_history(ctl: Ctl) -> None:
    moved = await ctl("advance", *SURE, *OVER, "--wait")
    assert "applied by all of 2 live replicas" in moved.stdout
    shown = await ctl("status")
    assert "ParallelSetup  1 %" in shown.stdout
    assert version(shown) == version(moved)
    (line,) = (await ctl("history", "--limit", "1", "--json")).stdout.splitlines()
    entry = json.loads(line)
    assert (entry["user"], entry["command"]["name"]) == ("administrator", "advance")
    assert entry["command"]["overrideGates"] == "no time to wait"


@pytest.mark.usefixtures("started")
async def test_a_shut_gate_refuses_and_names_itself(ctl: Ctl) -> None:
    await ctl("advance", *SURE, *OVER)
    refused = await ctl("step", *SURE, code=1)
    assert "refused by: time" in refused.stderr
    assert re.search(r"time +30 min at", refused.stdout)
    dry = await ctl("step", "--dry-run", code=1)
    assert "would be refused by: time" in dry.stdout


@pytest.mark.usefixtures("started")
async def test_a_stale_version_is_refused(ctl: Ctl) -> None:
    refused = await ctl("advance", *SURE, *OVER, "--expect", "0", code=1)
    assert "expected version 0" in refused.stderr


@pytest.mark.usefixtures("started")
async def test_the_same_id_again_is_done_once(ctl: Ctl) -> None:
    same = ("advance", *SURE, *OVER, "--id", f"once-{os.urandom(4).hex()}", "--expect")
    seen = str(version(await ctl("status")))
    first = await ctl(*same, seen)
    again = await ctl(*same, seen)
    assert again.stdout == first.stdout
    assert "ParallelSetup  1 %" in (await ctl("status")).stdout


@pytest.mark.usefixtures("started")
async def test_flags_go_round_and_a_wrong_document_names_every_problem(
    ctl: Ctl, tmp_path: Path
) -> None:
    file = tmp_path / "flags.json"
    document = json.loads((await ctl("flags", "show")).stdout)
    minutes = 10.0 + document["MigrationSettings"]["MinimumPhaseTimeMinutes"]
    document["MigrationSettings"]["MinimumPhaseTimeMinutes"] = minutes
    file.write_text(json.dumps(document))
    applied = await ctl("flags", "apply", str(file), *SURE)
    assert f"MinimumPhaseTimeMinutes: {minutes - 10} -> {minutes}" in applied.stdout
    assert json.loads((await ctl("flags", "show")).stdout) == document
    document["SmsFeatureFlags"] |= {"EnableLegacy": "x", "Foo": 1}
    file.write_text(json.dumps(document))
    wrong = await ctl("flags", "apply", str(file), *SURE, code=1)
    assert "EnableLegacy" in wrong.stderr
    assert "Foo: unknown field" in wrong.stderr


@pytest.mark.usefixtures("started")
async def test_a_backup_is_restored_by_name(ctl: Ctl) -> None:
    await ctl("user", "set", "u-7", "target", *SURE)
    await ctl("backup", "with-u-7", "--reason", "a test")
    await ctl("user", "clear", "u-7", *SURE)
    await ctl("restore", "with-u-7", *SURE)
    flags = json.loads((await ctl("flags", "show")).stdout)
    assert flags["SmsFeatureFlags"]["UserOverrides"] == {"u-7": "target"}
    await ctl("user", "clear", "u-7", *SURE)


@pytest.mark.usefixtures("started")
async def test_explain_follows_an_override(ctl: Ctl) -> None:
    await ctl("advance", *SURE, *OVER)
    await ctl("branch", "set", "12", "target", *SURE, *OVER, "--wait")
    text = (await ctl("explain", "0977123456", "--branch", "12", "--as", "observer")).stdout
    assert re.search(r"way +africastalking", text)
    assert "branch" in text
    await ctl("branch", "clear", "12", *SURE, *OVER)


@pytest.mark.parametrize("name", ["health", "comparison"])
async def test_figures_name_both_providers(ctl: Ctl, name: str) -> None:
    assert re.search(r"africastalking +legacy", (await ctl(name, "--as", "observer")).stdout)


@pytest.mark.usefixtures("started")
async def test_a_ladder_is_planned_for_what_the_workers_counted_and_its_flags_are_taken(
    stack: Stack, ctl: Ctl, tmp_path: Path
) -> None:
    names = {f"AMQP_URL_{user.upper()}": url for user, url in stack.amqp.items()}
    runner, file = CliRunner(env=names), tmp_path / "flags.json"
    sent = await asyncio.to_thread(runner.invoke, app, ["send", "0977123456", "hello"])
    assert sent.exit_code == 0, sent.output
    plan = ["plan", "--from-history", "--as", "observer", "--json", "--ladder", "3,100"]
    said = sent
    while "perDay" not in said.output:
        said = await asyncio.to_thread(runner.invoke, app, [*plan, "--write", str(file)])
        assert "perDay" in said.output or "no message was accepted" in said.stderr, said.output
    found = json.loads(said.stdout)
    assert (found["perDay"], found["historyDays"]) == (1.0, 1)
    shown = (await ctl("flags", "apply", str(file), "--dry-run")).stdout
    assert "Phases.LegacyDeprecation.Entry: 75 -> 3" in shown
    assert "MigrationSettings" not in shown


@pytest.mark.usefixtures("started")
async def test_the_first_steps_of_the_readme_show_what_it_says(stack: Stack) -> None:
    names = {f"AMQP_URL_{user.upper()}": url for user, url in stack.amqp.items()}
    runner = CliRunner(env=names | {"COLUMNS": "80"})
    steps = [
        step
        for title in ("First message", "First move")
        for step in documentation.typed(documentation.chapter("README.md", title))
    ]
    assert len(steps) >= 6
    for command, shown in steps:
        result = await asyncio.to_thread(runner.invoke, app, documentation.words(command))
        assert documentation.missing(shown, result.output) == [], f"{command}: {result.output}"
