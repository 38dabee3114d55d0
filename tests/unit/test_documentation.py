"""What the documentation says can be typed, opened and looked up."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from contracts.commands import decode_send
from contracts.control import COMMANDS, QUERIES
from contracts.events import EVENTS
from contracts.names import Exchange, Key, Queue
from tests.support import documentation as docs
from tests.support.documentation import FILES, ROOT
from worker.cli import app
from worker.cli.configuration import NAMES
from worker.domain.figures.series import MOST_SLOTS
from worker.domain.migration.access import AccessRole
from worker.domain.migration.phases import DEFAULT_RULES, picture
from worker.monitoring.series import MOST_CHANGES
from worker.settings.environment import OF_COMMANDS
from worker.settings.table import SECTIONS, table
from worker.telemetry import instruments

if TYPE_CHECKING:
    from pydantic import BaseModel

COMMAND_LINE = get_command(app)
MOST_LINES = 220
WIDTH = 80
TYPED = sorted(
    {
        line
        for name in FILES
        for line, _ in docs.typed(docs.read(name))
        if line.startswith("sms-worker ")
    }
)
INLINE = sorted({line for name in FILES for line in docs.inline(docs.read(name))})
CODE = sorted(
    path
    for path in chain(*(ROOT.glob(f"{top}/**/*.py") for top in ("worker", "contracts", "tests")))
    if path.name not in ("test_documentation.py", "documentation.py")
)
ASKED = [each.model_fields["name"].default for each in COMMANDS + QUERIES]
ROUTES = ("status", "advance", "rollback", "set-percentage", "health", "emergency-rollback")
OTHERWISE = (
    {"set-flags": "flags show|apply"}
    | {
        f"{verb}-{what}-override": f"{what} set|clear"
        for verb in ("set", "clear")
        for what in ("user", "branch")
    }
    | dict.fromkeys(
        ("suppressions", "add-suppression", "remove-suppression"), "suppressions list|add|remove"
    )
)


def parsed(command: str) -> str:
    """Have the program read a command line, without running it; what is wrong with it, or nothing.

    A group of commands hands on what follows its name and parses nothing itself: its options act.
    """
    at, line = COMMAND_LINE, docs.words(command)
    while isinstance(at, TyperGroup):
        if not line:
            return ""
        name, *line = line
        if name.startswith("-"):
            options = [*(option for each in at.params for option in each.opts), "--help"]
            return "" if name in options else f"no option {name}"
        if name not in at.commands:
            return f"no command {name}"
        at = at.commands[name]
    if "--help" in line:
        return ""
    try:
        at.make_context("sms-worker", line)
    except Exception as refused:  # noqa: BLE001 - whatever the library of the command line raises
        return f"{type(refused).__name__}: {refused}"
    return ""


# --- commands and programs -------------------------------------------------------------------


@pytest.mark.parametrize("command", TYPED)
def test_each_command_shown_is_one_the_program_understands(command: str) -> None:
    assert parsed(command) == ""


@pytest.mark.parametrize("command", INLINE)
def test_each_command_in_a_sentence_is_one_the_program_understands(command: str) -> None:
    # `ctl ack`: a sentence is about the command, not about its arguments
    assert parsed(command).partition(":")[0] in ("", "MissingParameter"), parsed(command)


@pytest.mark.parametrize("name", FILES)
def test_each_target_of_make_that_is_named_is_one(name: str) -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^ {4}|`)make ([a-z]+)", docs.read(name), re.MULTILINE)
    assert set(named) <= set(targets)


@pytest.mark.parametrize("file", ["publish.py", "steer.py"])
def test_a_python_example_can_be_compiled(file: str) -> None:
    compile(docs.example("contracts/README.md", file), file, "exec")


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_the_node_example_is_javascript() -> None:
    shown = docs.example("contracts/README.md", "publish.mjs")
    checked = subprocess.run(
        ["node", "--input-type=module", "--check"],  # noqa: S607 - wherever it is
        input=shown.encode(),
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr.decode()


@pytest.mark.parametrize("name", ["README.md", "contracts/README.md"])
def test_each_message_shown_is_a_send_sms(name: str) -> None:
    shown = docs.fenced(name, "json")
    assert shown
    for body in shown:
        read = decode_send(body.encode(), message_id=None, type_=None)
        assert read.message_id == json.loads(body)["messageId"]


# --- what is looked up -----------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_each_path_that_is_named_exists(name: str) -> None:
    named = re.findall(r"`((?:worker|contracts|deploy|tests)/[\w./-]*)`", docs.read(name))
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", FILES)
def test_each_link_leads_to_a_file_and_a_heading(name: str) -> None:
    for file, at in docs.links(docs.read(name)):
        target = (ROOT / name).parent / file if file else ROOT / name
        assert target.exists(), file
        if at:
            anchors = map(docs.anchor, docs.headings(target.read_text(encoding="utf-8")))
            assert at in anchors, f"{file}#{at}"


def test_each_heading_that_code_or_documentation_refers_to_exists() -> None:
    texts = [docs.read(name) for name in FILES]
    texts += [path.read_text(encoding="utf-8") for path in (*CODE, ROOT / "pyproject.toml")]
    named = {reference for text in texts for reference in docs.references(text)}
    assert named
    for file, title in named:
        assert title in docs.headings(docs.read(file)), f"{file}: {title}"


@pytest.mark.parametrize("name", FILES)
def test_each_setting_that_is_named_is_one(name: str) -> None:
    named = set(re.findall(r"\b(SMS_[A-Z_]*[A-Z])\b(?!_)", docs.read(name)))
    assert named - {*NAMES.all, *OF_COMMANDS} <= {"SMS_TARGET__", "SMS_LEGACY__"}


def test_the_table_of_settings_is_that_of_the_model() -> None:
    shown = re.search(
        r"<!-- settings: [^\n]*-->\n(.*?)\n<!-- end of settings -->",
        docs.read("deploy/README.md"),
        re.DOTALL,
    )
    assert shown is not None
    assert shown[1] == table(), "stale: put the output of `sms-worker check-config --table` there"


def test_the_table_of_metrics_is_that_of_the_registry() -> None:
    shown = re.search(
        r"<!-- metrics: [^\n]*-->\n(.*?)\n<!-- end of metrics -->",
        docs.read("deploy/README.md"),
        re.DOTALL,
    )
    assert shown is not None
    assert shown[1] == instruments.table(), "stale: put `instruments.table()` there"


def test_the_picture_of_the_phases_is_that_of_the_table() -> None:
    (shown,) = [body for body in docs.fenced("worker/README.md", "mermaid") if "NotStarted" in body]
    assert shown.strip() == picture(), (
        "stale: put the output of worker.domain.migration.phases.picture() there"
    )


def test_the_phases_have_their_entries_ranges_and_steps() -> None:
    shown = docs.chapter("worker/README.md", "The phases")
    for phase, rules in DEFAULT_RULES.items():
        steps = ", ".join(map(str, rules.steps)) or "-"
        span = f"{rules.low}-{rules.high} %" if rules.low != rules.high else f"{rules.high} %"
        assert f"| `{phase}` | {rules.entry} % | {span} | {steps} |" in shown


def test_the_phases_have_their_requirements() -> None:
    shown = docs.chapter("worker/README.md", "The phases")
    for phase, rules in DEFAULT_RULES.items():
        if (wanted := rules.requirements) is not None:
            success, errors = wanted.min_success_rate, wanted.max_error_rate
            seconds, delivered = wanted.max_p95_ms / 1_000, wanted.min_delivery_rate
            row = (
                f"| `{phase}` | >= {success:g} % | <= {seconds:g} s | <= {errors:g} % "
                f"| >= {delivered:g} % |"
            )
            assert row in shown


@pytest.mark.parametrize("model", [model for _, _, model in SECTIONS])
def test_each_setting_has_a_meaning(model: type[BaseModel]) -> None:
    assert [name for name, info in model.model_fields.items() if not info.description] == []


# --- nothing is left out ---------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
def test_each_route_of_the_replaced_system_has_its_command_in_the_table(route: str) -> None:
    shown = docs.chapter("deploy/README.md", "Steering")
    assert re.search(rf"^\| .* `sms-worker ctl {route}\b", shown, re.MULTILINE)


@pytest.mark.parametrize("name", ASKED)
def test_each_command_and_query_is_named(name: str) -> None:
    shown = docs.chapter("deploy/README.md", "Steering")
    assert re.search(rf"(`|ctl ){re.escape(OTHERWISE.get(name, name))}\b", shown)


@pytest.mark.parametrize("query", [each.model_fields["name"].default for each in QUERIES])
def test_each_query_has_its_row(query: str) -> None:
    shown = docs.chapter("contracts/README.md", "Queries")
    assert re.search(rf"^\|[^|]*`{re.escape(query)}`[^|]*\|", shown, re.MULTILINE)


def test_a_chart_is_as_long_as_documented() -> None:
    shown = docs.chapter("contracts/README.md", "Queries")
    assert f"at most {MOST_SLOTS + 1} slots and {MOST_CHANGES} changes" in shown


@pytest.mark.parametrize("role", AccessRole)
def test_each_role_is_named(role: AccessRole) -> None:
    assert f"| `{role}` |" in docs.chapter("deploy/README.md", "Who may")


@pytest.mark.parametrize("name", ["README.md", "contracts/README.md"])
@pytest.mark.parametrize("event", [each.model_fields["event"].default for each in EVENTS])
def test_each_event_has_its_row(name: str, event: str) -> None:
    assert re.search(rf"^\|[^|]*`{re.escape(event)}`[^|]*\|", docs.read(name), re.MULTILINE)


@pytest.mark.parametrize("name", [*Exchange, *Queue])
def test_each_exchange_and_queue_has_its_row(name: str) -> None:
    shown = docs.chapter("contracts/README.md", "Exchanges and queues")
    assert re.search(rf"^\|[^|]*`{re.escape(name)}`[^|]*\|", shown, re.MULTILINE)


def test_each_module_that_code_refers_to_exists() -> None:
    """`domain.migration.decide`, or a name within such a module."""
    tops = "|".join(sorted(path.name for path in (ROOT / "worker").iterdir() if path.is_dir()))
    reference = re.compile(rf"`(?:worker\.)?((?:{tops})(?:\.[a-z_]+)+)[.A-Z]?\w*[^`]*`")
    for path in CODE:
        for named in reference.findall(path.read_text(encoding="utf-8")):
            on_the_wire = named.startswith(("control.command", "control.query", Key.STATE))
            assert on_the_wire or _is_module(named), f"{path}: {named}"


def _is_module(named: str) -> bool:
    """Whether it is a module or a package, or something within one."""
    at = ROOT / "worker"
    for name in named.split("."):
        if (at / f"{name}.py").is_file():
            return True
        at /= name
        if not at.is_dir():
            return False
    return True


# --- its form --------------------------------------------------------------------------------


def test_the_first_page_is_short() -> None:
    assert len(docs.read("README.md").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", FILES)
def test_prose_fits_a_terminal(name: str) -> None:
    assert [line for line in docs.prose(docs.read(name)) if len(line) > WIDTH] == []


def test_code_refers_to_files_of_the_repository_alone() -> None:
    design = "design".upper()  # a page that only its writers have
    texts = {path: path.read_text(encoding="utf-8") for path in (*CODE, ROOT / "pyproject.toml")}
    assert [path for path, text in texts.items() if design in text] == []
