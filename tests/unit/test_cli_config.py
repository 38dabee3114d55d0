"""What `check-config`, `run` and `webhook` refuse: by name, all at once, without secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from worker.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

FLAGS = Path(__file__).parents[2] / "deploy" / "flags.json"
GOOD = {
    "AMQP_URL": "amqp://worker:hush-amqp@localhost/",
    "MONGO_URL": "mongodb://worker:hush-mongo@localhost/",
    "SMS_HASH_KEY": "hush-key",
    "SMS_FLAGS_FILE": str(FLAGS),
    "SMS_TARGET__ID": "africastalking",
    "SMS_TARGET__KIND": "africastalking",
    "SMS_TARGET__BASE_URL": "https://target.example",
    "SMS_TARGET__USERNAME": "acme",
    "SMS_TARGET__SECRET": "hush-target",
    "SMS_LEGACY__ID": "legacy",
    "SMS_LEGACY__KIND": "http",
    "SMS_LEGACY__PRESET": "json-basic",
    "SMS_LEGACY__BASE_URL": "https://legacy.example",
    "SMS_LEGACY__USERNAME": "acme",
    "SMS_LEGACY__SECRET": "hush-legacy",
}


def run(command: str, **changes: str | None) -> Result:
    """Run a command with these settings alone."""
    ours = [name for name in os.environ if name.startswith(("SMS_", "AMQP_URL", "MONGO_URL"))]
    environment = dict.fromkeys(ours) | GOOD | changes
    return CliRunner(env=environment).invoke(app, [command])


def refused(command: str = "check-config", **changes: str | None) -> list[str]:
    """Problems printed for these settings."""
    result = run(command, **changes)
    assert result.exit_code == 2, result.output
    first, *problems = result.stderr.splitlines()
    assert first == "configuration refused:"
    assert "hush" not in result.output
    return [problem.strip() for problem in problems]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, Any], str]:
    def write(name: str, content: Any) -> str:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


def test_a_good_configuration_is_said_to_be_one() -> None:
    result = run("check-config")
    assert (result.exit_code, result.stdout) == (0, "configuration is valid\n")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("AMQP_URL", None, "AMQP_URL: Field required"),
        ("MONGO_URL", None, "MONGO_URL: Field required"),
        ("AMQP_URL", "hush", "AMQP_URL: expected an address that begins with amqp://"),
        ("MONGO_URL", "hush", "MONGO_URL: expected an address that begins with mongodb://"),
        ("SMS_HASH_KEY", None, "SMS_HASH_KEY: Field required"),
        ("SMS_HASH_KEY", "", "SMS_HASH_KEY: "),
        ("SMS_TARGET__BASE_URL", "hush", "SMS_TARGET__BASE_URL: expected an address"),
        ("SMS_TARGET__SECRET", None, "SMS_TARGET: username, secret: both are required"),
        ("SMS_TARGET__SECRET", "", "SMS_TARGET: username, secret: both are required"),
        ("SMS_TARGET__TYPO", "1", "SMS_TARGET__TYPO: Extra inputs are not permitted"),
        ("SMS_TARGET__KIND", "smpp", "SMS_TARGET__KIND: "),
        ("SMS_TARGET__ID", "Big Id", "SMS_TARGET__ID: "),
        ("SMS_LEGACY__ID", "africastalking", "SMS: target and legacy: expected two ids"),
        ("SMS_LEGACY__PRESET", None, "SMS_LEGACY__PRESET: expected a preset name or file"),
        ("SMS_LEGACY__PRESET", "nope", "SMS_LEGACY: preset: expected one of"),
        ("SMS_LEGACY__DEADLINE_S", "-1", "SMS_LEGACY__DEADLINE_S: "),
        ("SMS_LEGACY__BREAKER__FAILURE_RATE", "2", "SMS_LEGACY__BREAKER__FAILURE_RATE: "),
        ("SMS_DRAIN_GRACE_S", "1", "SMS_DRAIN_GRACE_S: expected more than the longest"),
        ("SMS_UNKNOWN_BY_TYPE", "hush", "SMS_UNKNOWN_BY_TYPE: Input should be a valid dictionary"),
        ("SMS_TARGET__PARAMETERS", "hush", "SMS_TARGET__PARAMETERS: Input should be a valid"),
        ("SMS_FLAGS_FILE", "no/such/file", "SMS_FLAGS_FILE: "),
        ("SMS_TARIFFS_FILE", "no/such/file", "SMS_TARIFFS_FILE: "),
        ("SMS_LOG_LEVEL", "loud", "SMS_LOG_LEVEL: "),
    ],
)
def test_a_problem_is_named_by_its_variable(name: str, value: str | None, problem: str) -> None:
    found = refused(**{name: value})
    assert any(each.startswith(problem) for each in found), found


def test_every_problem_is_listed_at_once() -> None:
    problems = refused(
        AMQP_URL="hush",
        SMS_HASH_KEY=None,
        SMS_LOG_LEVEL="loud",
        SMS_UNKNOWN_BY_TYPE="hush",
        SMS_TARGET__DEADLINE_S="-1",
        SMS_LEGACY__TYPO="1",
    )
    assert len(problems) == 6


def test_contradictions_are_listed_at_once() -> None:
    problems = refused(SMS_DRAIN_GRACE_S="1", SMS_KEEP_RECORDS_S="1")
    assert [problem.split(":")[0] for problem in problems] == [
        "SMS_DRAIN_GRACE_S",
        "SMS_KEEP_RECORDS_S",
    ]


def test_every_problem_of_the_flags_is_listed(written: Callable[[str, Any], str]) -> None:
    document = json.loads(FLAGS.read_text(encoding="utf-8"))
    document["SmsFeatureFlags"]["AfricasTalkingTrafficPercentage"] = 101
    document["SmsFeatureFlags"]["Typo"] = 1
    path = written("flags.json", document)
    problems = refused(SMS_FLAGS_FILE=path)
    assert len(problems) == 2
    assert all(problem.startswith(path) for problem in problems)


def test_mail_addresses_want_a_mail_server(written: Callable[[str, Any], str]) -> None:
    document = {"MigrationSettings": {"NotificationRecipients": ["ops@example.com"]}}
    path = written("flags.json", document)
    (problem,) = refused(SMS_FLAGS_FILE=path)
    assert problem == f"SMS_SMTP__HOST: expected a mail server, {path} names mail addresses"
    smtp = {"SMS_SMTP__HOST": "mail.example", "SMS_SMTP__SENDER": "sms@example.com"}
    assert run("check-config", SMS_FLAGS_FILE=path, **smtp).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"SENDER": None}, "SMS_SMTP__SENDER: Field required"),
        ({"SENDER": "hush"}, "SMS_SMTP__SENDER: String should match pattern"),
        ({"PORT": "0"}, "SMS_SMTP__PORT: "),
        ({"SECURITY": "ssl"}, "SMS_SMTP__SECURITY: "),
        ({"USERNAME": "us"}, "SMS_SMTP: username, password: expected both or neither"),
        (
            {"USERNAME": "us", "PASSWORD": "hush", "SECURITY": "none"},
            "SMS_SMTP__SECURITY: expected starttls or tls with a login, got none",
        ),
    ],
)
def test_a_problem_of_the_mail_server_is_named(changes: dict[str, str], problem: str) -> None:
    good = {"HOST": "mail.example", "SENDER": "sms@example.com"}
    found = refused(**{f"SMS_SMTP__{name}": value for name, value in (good | changes).items()})
    assert any(each.startswith(problem) for each in found), found


def test_files_and_providers_are_judged_in_one_go(written: Callable[[str, Any], str]) -> None:
    problems = refused(
        SMS_FLAGS_FILE=written("flags.json", "{"),
        SMS_TARIFFS_FILE=written("tariffs.yaml", "[]"),
        SMS_LEGACY__PRESET="nope",
    )
    assert len(problems) == 3


def test_tariffs_that_are_no_yaml_are_refused(written: Callable[[str, Any], str]) -> None:
    (problem,) = refused(SMS_TARIFFS_FILE=written("tariffs.yaml", "a: ["))
    assert problem.startswith("SMS_TARIFFS_FILE: ")


def test_run_refuses_what_the_check_refuses() -> None:
    assert refused("run", SMS_LOG_LEVEL="loud") == refused(SMS_LOG_LEVEL="loud")


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        (None, "SMS_WEBHOOK_TOKENS: Field required"),
        ("hush", "SMS_WEBHOOK_TOKENS: Input should be a valid dictionary (as JSON)"),
        ('{"Big Id": "hush"}', "SMS_WEBHOOK_TOKENS__BIG ID__[KEY]: "),
    ],
)
def test_the_webhook_refuses_wrong_tokens(tokens: str | None, problem: str) -> None:
    assert any(p.startswith(problem) for p in refused("webhook", SMS_WEBHOOK_TOKENS=tokens))
