"""The planner: what it says, and what it refuses."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from worker.cli import app
from worker.domain.planning import forecast


def test_what_fails_more_than_its_bound_cannot_be_proved() -> None:
    (rung,) = forecast([25], 10_000, 0.06)
    assert rung.messages is None
    assert "cannot be proved" in str(rung.warning)


def test_a_ladder_is_printed_with_messages_and_days() -> None:
    said = CliRunner().invoke(app, ["plan", "--per-day", "100000", "--ladder", "1,100"])
    assert said.exit_code == 0, said.output
    assert "about" in said.output.splitlines()[-1]


def test_a_ladder_that_cannot_be_proved_is_warned_about() -> None:
    said = CliRunner().invoke(app, ["plan", "--per-day", "1000", "--failure-rate", "6"])
    assert said.exit_code == 1
    assert "cannot be proved" in said.output


@pytest.mark.parametrize("ladder", ["", "0", "101", "a,b"])
def test_a_ladder_that_is_none_is_refused_by_name(ladder: str) -> None:
    said = CliRunner().invoke(app, ["plan", "--per-day", "1000", "--ladder", ladder])
    assert said.exit_code == 2
    assert "--ladder" in said.output
