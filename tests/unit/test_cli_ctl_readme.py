"""What the README says about steering is what the program does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.control import COMMANDS, QUERIES
from worker.cli import app
from worker.domain.effects import Rank
from worker.domain.phases import DEFAULT_RULES, picture

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CHAPTER = README[README.index("## Steering\n") : README.index("## Deploying\n")]
USED = sorted({each.strip() for each in re.findall(r"sms-worker (ctl [^`\n]+)", README)})
ROUTES = ("status", "advance", "rollback", "set-percentage", "health", "emergency-rollback")
OTHERWISE = {"set-flags": "flags show|apply"} | {
    f"{verb}-{what}-override": f"{what} set|clear"
    for verb in ("set", "clear")
    for what in ("user", "branch")
}


def test_the_picture_is_that_of_the_table() -> None:
    shown = re.search(r"```mermaid\n(.*?)\n```", CHAPTER, re.DOTALL)
    assert shown is not None
    assert shown[1] == picture(), "stale: put the output of worker.domain.phases.picture() there"


def test_the_phases_have_their_entries_ranges_and_steps() -> None:
    for phase, rules in DEFAULT_RULES.items():
        steps = ", ".join(map(str, rules.steps)) or "-"
        span = f"{rules.low}-{rules.high} %" if rules.low != rules.high else f"{rules.high} %"
        assert f"| `{phase}` | {rules.entry} % | {span} | {steps} |" in CHAPTER


@pytest.mark.parametrize("route", ROUTES)
def test_each_route_of_the_replaced_system_has_its_command_in_the_table(route: str) -> None:
    assert re.search(rf"^\| .* `sms-worker ctl {route}\b", CHAPTER, re.MULTILINE)


@pytest.mark.parametrize("name", [each.model_fields["name"].default for each in COMMANDS + QUERIES])
def test_each_command_and_query_is_named(name: str) -> None:
    assert re.search(rf"(`|ctl ){re.escape(OTHERWISE.get(name, name))}\b", CHAPTER)


@pytest.mark.parametrize("rank", Rank)
def test_each_role_is_named(rank: Rank) -> None:
    assert f"| `{rank}` |" in CHAPTER


@pytest.mark.parametrize("used", USED)
def test_each_command_line_shown_is_one_the_program_understands(used: str) -> None:
    line = used.rstrip("\\").split(" -r")[0].split(" --")[0]
    result = CliRunner().invoke(app, [*shlex.split(line.split("#")[0]), "--help"])
    assert result.exit_code == 0, result.output


def test_what_was_removed_is_not_mentioned() -> None:
    assert "state set" not in README
