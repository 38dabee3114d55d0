"""What `check-config`, `run` and `webhook` refuse: by name, all at once, without secrets."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from tests.support.complete_settings import FLAGS, GOOD
from worker.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


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
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "configuration is valid",
        "AMQP_URL: amqp://***@localhost",
        "MONGO_URL: mongodb://***@localhost",
    ]


def test_a_good_configuration_shows_every_host_and_no_login() -> None:
    result = run("check-config", AMQP_URL="amqps://worker:hush-amqp@mq-1:5671,mq-2:5671/")
    assert "AMQP_URL: amqps://***@mq-1:5671,mq-2:5671" in result.stdout.splitlines()
    assert "hush" not in result.output


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
        (
            "SMS_TARGET__SECRET",
            None,
            "SMS_TARGET__SECRET: expected for kind 'africastalking'",
        ),
        ("SMS_TARGET__SECRET", "", "SMS_TARGET__SECRET: expected for kind 'africastalking'"),
        ("SMS_TARGET__TYPO", "1", "SMS_TARGET__TYPO: Extra inputs are not permitted"),
        ("SMS_TARGET__KIND", "smpp", "SMS_TARGET__KIND: "),
        ("SMS_TARGET__ID", "Big Id", "SMS_TARGET__ID: "),
        ("SMS_LEGACY__ID", "africastalking", "SMS_LEGACY__ID: expected another one than"),
        ("SMS_LEGACY__PRESET", None, "SMS_LEGACY__PRESET: expected a preset name or file"),
        ("SMS_LEGACY__PRESET", "nope", "SMS_LEGACY__PRESET: expected one of"),
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


CONTROL = "expected no control characters"
NO_NAME = "expected the name of a setting"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("AMQP_URL", "amqp://worker:hush#x@h/", "expected the user name and the password to be"),
        ("MONGO_URL", "mongodb://worker:hu@sh@h/", "expected the user name and the password to be"),
        ("MONGO_URL", "mongodb://h/?retryWrite=true", "Unknown option"),
        ("AMQP_URL", "amqp://u:p@h/?cafile=/no/such", "option cafile: expected a file that exists"),
        ("SMS_TARGET__SECRET", "hush\n", CONTROL),
        ("SMS_TARGET__SECRET", "hush\r\n", CONTROL),
        ("SMS_TARGET__SECRET", "\ufeffhush", CONTROL),
        ("SMS_TARGET__SECRET", "hüsh", "expected ASCII characters: a header carries it"),
        ("SMS_TARGET__USERNAME", "acme\n", CONTROL),
        ("SMS_LEGACY__SECRET", "hush\n", CONTROL),
        ("SMS_HASH_KEY", "   ", "expected a value, got only blanks"),
        ("SMS_HASH_KEY", "hush\n", CONTROL),
        ("SMS_TARGET__REPORT_TOKEN", "hu/sh", "expected ASCII characters without blanks and / ?"),
        ("SMS_TARGET__BASE_URL", "https://target.example ", "expected no blanks"),
        ("SMS_TARGET__BASE_URL", "https://", "expected a host name"),
        ("SMS_TARGET__BASE_URL", "https://h/version1/messaging", "expected the address without"),
        ("SMS_TARGET__BASE_URL", "https://api.sandbox.africastalking.com", None),
        ("SMS_LEGACY__BASE_URL", "https://gw/v2/messages/", "expected the address without /mess"),
        ("SMS_TARGET__BASE_URL", "https://300.1.1.1", "expected a host name"),
        ("SMS_TARGET__BASE_URL", "https://xn--a", "expected a host that the HTTP libraries take"),
        ("SMS_LEGACY__BASE_URL", "http://10.20.300.4", "expected a host name"),
        ("SMS_LEGACY__BASE_URL", "http://10.20.30", "expected a host name"),
        ("SMS_LEGACY__BASE_URL", "http://xn--a", "expected a host that the HTTP libraries take"),
        ("SMS_LEGACY__PARAMETERS", '{"to": "hush"}', "to: expected a name of its own"),
        ("SMS_LEGACY__REPORT_BASE_URL", "https://h/?a=hush", "expected nothing behind the path"),
        ("SMS_TARGET__SENDER_ID", "TwelveLetter", "expected 1 to 11 ASCII characters"),
        ("SMS_TARGET__SENDER_ID", "12", "expected 1 to 11 ASCII characters"),
        ("SMS_TARGET__RATE_PER_S", "inf", "Input should be a finite number"),
        ("SMS_LIFE_BULK_S", "1e12", "Input should be less than or equal to"),
        ("SMS_STORE_TIMEOUT_S", "0.0001", "Input should be greater than or equal to 0.1"),
        ("SMS_PREFETCH_BULK", "70000", "Input should be less than or equal to 65535"),
        ("SMS_DEFAULT_REGION", "ZZ", "expected a country as in ISO 3166"),
        ("SMS_DEFAULT_REGION", "KE", "expected one of allowed_regions, got KE"),
        ("SMS_MONGO_DATABASE", "a b", "String should match pattern"),
        ("SMS_PRIVATE_HOST", "http://h", "expected a host name or an IP address, without"),
        ("SMS_LIFE_BULK", "60", f"{NO_NAME} (did you mean SMS_LIFE_BULK_S?)"),
        ("SMS_TARGET_SECRET", "hush", f"{NO_NAME} (did you mean SMS_TARGET__SECRET?)"),
        ("SMS_LOG_LEVEL__X", "1", f"{NO_NAME} (did you mean SMS_LOG_LEVEL?)"),
        ("SMS_PRIVAT_PORT", "80", f"{NO_NAME} (did you mean SMS_PRIVATE_PORT?)"),
        ("SMS_COLOUR_OF_HATS", "1", NO_NAME),
        ("SMS_TARGET__DEADLINE", "3", "Extra inputs are not permitted (did you mean SMS_TARGET__D"),
    ],
)
def test_what_would_fail_later_is_named_by_the_check(
    name: str, value: str, problem: str | None
) -> None:
    at = name if problem else "SMS_TARGET__USERNAME"
    (found,) = refused(**{name: value})
    assert found.startswith(f"{at}: {problem or 'expected'}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMS_TARGET__BASE_URL", "https://target.example/version1/"),
        ("SMS_TARGET__SENDER_ID", "H&M Zambia"),
        ("SMS_TARGET__SENDER_ID", "+260977123456"),
        ("SMS_LEGACY__SENDER_ID", ""),
        ("SMS_PRIVATE_PORT", ""),
        ("SMS_ROLES__ANN", "observer"),
        ("SMS_CTL_USER", "ann"),
        ("SMS_WEBHOOK_PORT", "8080"),
        ("SMS_WORKER_SERVICE_HOST", "10.0.0.1"),
        ("SMS_WORKER_PORT", "tcp://10.0.0.1:80"),
        ("SMS_WORKER_PORT_80_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_what_works_is_not_refused(name: str, value: str) -> None:
    assert run("check-config", **{name: value}).exit_code == 0


def test_a_name_in_two_cases_with_two_values_is_refused() -> None:
    (problem,) = refused(sms_hash_key="hush-other")
    assert problem.startswith("SMS_HASH_KEY: expected one value, got two")


@pytest.mark.parametrize(
    ("first", "other", "value"),
    [
        ("AMQP_URL", "SMS_AMQP_URL", "amqp://worker:hush-other@localhost/"),
        ("MONGO_URL", "SMS_MONGO_URL", "mongodb://other:hush-mongo@localhost/"),
        ("SMS_ROLES", "SMS_ROLES__ANN", "administrator"),
        ("SMS_LEGACY__BREAKER", "SMS_LEGACY__BREAKER__WINDOW", "60"),
        ("SMS_LEGACY", "SMS_LEGACY__BREAKER__WINDOW", "60"),
    ],
)
def test_a_setting_that_stands_under_two_names_with_two_values_is_refused(
    first: str, other: str, value: str
) -> None:
    objects = {
        "SMS_LEGACY__BREAKER": '{"window": 50}',
        "SMS_ROLES": '{"ann": "observer"}',
        "SMS_LEGACY": '{"breaker": {"window": 50}}',
    }
    given = {first: (GOOD | objects)[first], other: value}
    assert refused(**given) == [f"{first}: expected one value, got another one in {other}"]


@pytest.mark.parametrize("name", ["AMQP_URL", "MONGO_URL"])
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_setting_that_stands_under_two_names_with_one_value_is_taken(
    name: str, *, is_empty: bool
) -> None:
    assert run("check-config", **{f"SMS_{name}": "" if is_empty else GOOD[name]}).exit_code == 0


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("SMS_ROLES", '{"ann":"observer","ann":"administrator"}', "ann"),
        ("SMS_UNKNOWN_BY_TYPE", '{"Otp":"hold","Otp":"resend"}', "Otp"),
        ("SMS_LEGACY__PARAMETERS", '{"route":"hush","route":"hush"}', "route"),
        ("SMS_LEGACY", '{"breaker":{"window":10,"window":20}}', "window"),
        ("SMS_LEGACY__BREAKER", '{"window":10,"window":20}', "window"),
        ("sms_roles", '{"ann":"observer","ann":"administrator"}', "ann"),
    ],
)
def test_a_key_that_an_object_in_json_repeats_is_refused(name: str, value: str, key: str) -> None:
    assert refused(**{name: value}) == [f"{name.upper()}: {key}: given more than once"]


@pytest.mark.parametrize("name", ["SMS_WEBHOOK_TOKENS", "SMS_WEBHOOK_ANSWERS"])
def test_a_key_that_an_object_of_the_webhook_repeats_is_refused(name: str) -> None:
    given = {"SMS_WEBHOOK_TOKENS": '{"legacy":"hush"}', name: '{"legacy":"hush","legacy":"hush2"}'}
    assert f"{name}: legacy: given more than once" in refused("webhook", **given)


def test_a_credential_that_looks_like_an_object_is_taken_as_it_is() -> None:
    assert run("check-config", SMS_HASH_KEY='{"a":1,"a":2}').exit_code == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("tariffs: []\ntariffs: []", "tariffs again at line 2"),
        ("tariffs:\n- {price: '1', price: '2'}", "price again at line 2"),
        ("tariffs:\n- price: '1'\n  'price': '2'", "price again at line 3"),
        ('{"tariffs": [{"prefix": 1, "prefix": 2}]}', "prefix again at line 1"),
    ],
)
def test_a_key_that_tariffs_repeat_is_refused(
    content: str, problem: str, written: Callable[[str, Any], str]
) -> None:
    path = written("tariffs.yaml", content)
    assert refused(SMS_TARIFFS_FILE=path) == [
        f"SMS_TARIFFS_FILE: {path}: expected each key once, got {problem}"
    ]


PRESET = """
name: x
send: {{method: POST, url: "{{base_url}}/x"{send}}}
rules: [{{status: [200], regex: OK, verdict: accepted{rule}}}]
reports: {{url: "{{report_base_url}}/r", message_id: id, statuses: {{1: delivered{status}}}}}
{last}
"""


@pytest.mark.parametrize(
    ("place", "content", "key"),
    [
        ("send", ", url: '{base_url}/y'", "url"),
        ("rule", ", regex: NO", "regex"),
        ("status", ", 1: undelivered", "1"),
        ("status", ', "1": undelivered', "1"),
        ("last", "rules: []", "rules"),
    ],
)
def test_a_key_that_a_preset_repeats_is_refused(
    place: str, content: str, key: str, written: Callable[[str, Any], str]
) -> None:
    places = dict.fromkeys(("send", "rule", "status", "last"), "") | {place: content}
    path = written("p.yaml", PRESET.format(**places))
    (problem,) = refused(SMS_LEGACY__PRESET=path)
    assert problem.startswith(f"SMS_LEGACY__PRESET: {path}: expected each key once, got {key} ")


def test_keys_that_an_anchor_brings_may_be_written_over(
    written: Callable[[str, Any], str],
) -> None:
    row = "provider: legacy, prefix: 260, currency: ZMW, validTo: 2026-01-31"
    more = "validTo: 2026-02-28, validFrom: 2026-02-01, price: '2'"
    content = f"tariffs:\n- &a {{{row}, price: '1'}}\n- {{<<: *a, {more}}}"
    path = written("tariffs.yaml", content)
    assert run("check-config", SMS_TARIFFS_FILE=path).exit_code == 0


def test_what_stands_in_files_is_judged_beside_settings_that_are_refused() -> None:
    problems = refused(
        SMS_HASH_KEY=None, SMS_FLAGS_FILE="/no", SMS_TARIFFS_FILE="/no", SMS_LEGACY__PRESET="nope"
    )
    assert sorted(problem.split(":")[0] for problem in problems) == [
        "SMS_FLAGS_FILE", "SMS_HASH_KEY", "SMS_LEGACY__PRESET", "SMS_TARIFFS_FILE",
    ]  # fmt: skip


def test_a_secret_that_a_header_of_the_preset_cannot_carry_is_named(
    written: Callable[[str, Any], str],
) -> None:
    preset = written(
        "bearer.yaml",
        {
            "name": "bearer",
            "auth": {"kind": "bearer"},
            "send": {"method": "POST", "url": "{base_url}/sms"},
            "rules": [{"status": [200], "regex": "ok", "verdict": "accepted"}],
        },
    )
    (problem,) = refused(SMS_LEGACY__PRESET=preset, SMS_LEGACY__SECRET="hüsh")
    assert problem == "SMS_LEGACY__SECRET: expected ASCII characters: a header carries it"


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"url": "{base_url}/{route}"}, "SMS_LEGACY__PARAMETERS: route: expected ASCII"),
        ({"url": ""}, "SMS_LEGACY__PRESET: send: url: expected"),
        ({"url": "{base_url}messages"}, "SMS_LEGACY__PRESET: send: url: expected"),
        ({"url": "{base_url}/a\tb"}, "SMS_LEGACY__PRESET: send: expected an address"),
        ({"query": {"a": "{txet}"}}, "SMS_LEGACY__PRESET: send.query.a: slot {txet}: expected"),
        ({"query": {"a": "{text};{to}"}}, "SMS_LEGACY__PRESET: send.query.a: expected {text} as"),
    ],
)
def test_a_problem_of_a_preset_is_named_by_a_variable_and_its_place(
    changes: dict[str, Any], variable: str, written: Callable[[str, Any], str]
) -> None:
    headers = {"X-Route": "{route}"} if "ASCII" in variable else {}
    send = {"method": "POST", "url": "{base_url}/sms", "headers": headers} | changes
    rules = [{"status": [200], "regex": "ok", "verdict": "accepted"}]
    path = written("p.yaml", {"name": "x", "send": send, "rules": rules})
    (problem,) = refused(SMS_LEGACY__PRESET=path, SMS_LEGACY__PARAMETERS='{"route": "é"}')
    assert problem.startswith(variable)


@pytest.mark.parametrize("content", ['{"name": "hush", "rules": 1}', "a: [hush", "[" * 5_000])
def test_a_file_that_is_no_preset_is_named_without_what_is_in_it(
    content: str, written: Callable[[str, Any], str]
) -> None:
    problems = refused(SMS_LEGACY__PRESET=written("p.yaml", content))
    assert all(problem.startswith("SMS_LEGACY__PRESET: ") for problem in problems)


def test_a_run_needs_no_flags_file_to_be_checked_but_its_other_files() -> None:
    assert refused("run", SMS_FLAGS_FILE="/no", SMS_TARIFFS_FILE="/no") == [
        "SMS_TARIFFS_FILE: /no: No such file or directory"
    ]


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
        ({"USERNAME": "us"}, "SMS_SMTP__PASSWORD: expected with username, and only with it"),
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
        ('{"Big Id": "hush"}', "SMS_WEBHOOK_TOKENS: String should match pattern"),
    ],
)
def test_the_webhook_refuses_wrong_tokens(tokens: str | None, problem: str) -> None:
    assert any(p.startswith(problem) for p in refused("webhook", SMS_WEBHOOK_TOKENS=tokens))
