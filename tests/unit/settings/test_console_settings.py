"""What the console's settings refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.cli.test_config_command import refused
from worker.settings.console import ConsoleSettings

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {"SMS_CONSOLE_BROKER": "amqps://mq-1:5671,mq-2:5671/"}


def problems(**changes: str | None) -> list[str]:
    return refused("console", **GOOD | changes)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("BROKER", None, "Field required"),
        ("BROKER", "mq-1", "expected an address that begins with amqp:// or amqps://"),
        (
            "BROKER",
            "amqps://amina:hush@mq-1/",
            "expected no login in it: each person logs in with their own",
        ),
        (
            "BROKER",
            "amqps://mq-1/?auth=external&certfile=x",
            "option auth: expected none: each person logs in with their own",
        ),
        ("BROKER", "amqps://mq-1/?hartbeat=1", "expected no option 'hartbeat'"),
        ("HOST", "http://localhost", "expected a host name or an IP address"),
        ("PORT", "70000", "Input should be less than or equal to 65535"),
        ("ORIGIN", "sms.example", "expected an address that begins with http:// or https://"),
        ("ORIGIN", "http://sms.example", "expected https: people type passwords there"),
        ("ORIGIN", "https://a:hush@sms.example", "expected no login in it"),
        ("ORIGIN", "https://sms.example/a b", "expected no blanks"),
        ("ORIGIN", "https://sms.example/a;b", "expected a path of letters, digits and . _ ~ -"),
        ("ORIGIN", "https://sms.example/?a", "expected nothing behind the path"),
        ("TITLE", "x" * 41, "String should have at most 40 characters"),
        ("IDLE_MINUTES", "0", "Input should be greater than or equal to 1"),
        ("OBSERVER_IDLE_MINUTES", "10081", "Input should be less than or equal to 10080"),
        ("CERT", "/no/such/file", "expected a file that exists"),
        ("BORKER", "x", "expected the name of a setting (did you mean SMS_CONSOLE_BROKER?)"),
    ],
)
def test_a_bad_setting_is_refused_by_name(name: str, value: str | None, problem: str) -> None:
    found = problems(**{f"SMS_CONSOLE_{name}": value})
    assert any(each.startswith(f"SMS_CONSOLE_{name}: {problem}") for each in found), found


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.5", "sms.example"],  # noqa: S104 - refused
)
def test_on_another_address_it_needs_encryption(host: str) -> None:
    (problem,) = problems(SMS_CONSOLE_HOST=host)
    assert problem == (
        "SMS_CONSOLE_ORIGIN: expected an address with https (or console_cert), because "
        f"console_host is {host}"
    )


def test_what_a_container_publishes_on_its_own_machine_needs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (GOOD | {"SMS_CONSOLE_ORIGIN": "http://localhost:8090"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SMS_CONSOLE_HOST", "0.0.0.0")  # noqa: S104 - not bound
    assert not ConsoleSettings().is_encrypted


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").touch()
    (problem,) = problems(SMS_CONSOLE_CERT=str(tmp_path / "cert.pem"))
    assert problem.startswith("SMS_CONSOLE_KEY: expected console_cert and console_key, or neither")


def test_a_certificate_and_plain_http_contradict_each_other(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    (problem,) = problems(
        SMS_CONSOLE_CERT=str(tmp_path / "cert.pem"),
        SMS_CONSOLE_KEY=str(tmp_path / "key.pem"),
        SMS_CONSOLE_ORIGIN="http://localhost:8090",
    )
    assert problem == "SMS_CONSOLE_ORIGIN: expected https, because there is a certificate"
