"""The command line in a dialog gives the command that the dialog gave."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.testing import CliRunner

from contracts.control import (
    COMMANDS,
    Advance,
    ControlCommand,
    ControlReply,
    EmergencyRollback,
    SetBranchOverride,
    Status,
    Step,
)
from worker.cli import app
from worker.cli.ctl import ask
from worker.console.steering.command_line import command_line

if TYPE_CHECKING:
    from pathlib import Path

NOW: Final = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
REASON: Final = 'it\'s  "urgent" $HOME\nreally'
OWN: Final[dict[str, Any]] = {
    "at": 5, "percentage": 50, "leaving": "GradualMigration", "proposal": 42,
    "flags": {"Phases": {}}, "user": "-u 17", "branch": -7, "provider": "legacy",
    "label": "-before", "to": "last-known-good", "alert": "provider-degraded",
    "number": "0971 234 567", "sender_id": "BANK",
}  # fmt: skip
SHARED: Final = {"command_id": "7c 0f", "issued_at": NOW, "reason": REASON, "expected_version": 41}


def made(command: type[ControlCommand]) -> ControlCommand:
    own = {name: OWN[name] for name in command.model_fields if name in OWN}
    if "override_gates" in command.model_fields:
        own["override_gates"] = "checked by hand"
    return command(**SHARED, **own)


def given_by(line: str, monkeypatch: pytest.MonkeyPatch) -> ControlCommand:
    """The command that `ctl` makes of a line; nothing is sent."""
    sent: list[Any] = []

    def send(_: Any, asked: Any) -> ControlReply:
        sent.append(asked)
        return ControlReply(
            command_id=asked.command_id, name=asked.name, verdict="accepted", code="ok", text="",
            at=NOW,
        )  # fmt: skip

    monkeypatch.setattr(ask, "send", send)
    monkeypatch.setattr("worker.cli.ctl.changes.in_force", lambda _: _InForce())
    program, *words = shlex.split(line)
    assert program == "sms-worker"
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    (command,) = [each for each in sent if not isinstance(each, Status)]
    return command


class _InForce:
    flags: Final[dict[str, Any]] = {}
    percentage = 25
    version = 41


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.model_fields["name"].default)
def test_ctl_makes_the_same_command_of_the_line(
    command: type[ControlCommand], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flags.json").write_text(json.dumps(OWN["flags"]))
    wanted = made(command)
    got = given_by(command_line(wanted, "amina"), monkeypatch)
    assert got.model_dump(exclude={"issued_at"}) == wanted.model_dump(exclude={"issued_at"})


def test_what_is_absent_stays_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Advance(command_id="7c0f", issued_at=NOW, reason="bank agreed", expected_version=1)
    line = command_line(wanted, "amina")
    assert given_by(line, monkeypatch).model_dump(exclude={"issued_at"}) == wanted.model_dump(
        exclude={"issued_at"}
    )
    assert "--at" not in line


def test_an_emergency_needs_no_further_question() -> None:
    wanted = EmergencyRollback(command_id="7c0f", issued_at=NOW, reason="provider is down")
    assert command_line(wanted, "amina") == (
        "sms-worker ctl emergency-rollback --as amina -r 'provider is down' --id 7c0f -y --wait"
    )


def test_an_argument_that_begins_with_a_dash_is_no_option() -> None:
    wanted = SetBranchOverride(
        command_id="7c0f", issued_at=NOW, reason="bank agreed", branch=-7, provider="legacy"
    )
    assert command_line(wanted, "amina").endswith("-y --wait -- -7 legacy")


def test_the_override_is_on_the_line() -> None:
    wanted = Step(command_id="1", issued_at=NOW, reason="checked", override_gates="checked")
    assert "--override-gates checked" in command_line(wanted, "amina")
