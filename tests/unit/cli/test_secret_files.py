"""Secrets in the files of `SMS_SECRETS_DIR`: each setting, what goes first, what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tests.unit.cli.test_config_command import GOOD, refused
from worker.cli import addresses, app
from worker.cli.configuration import webhook_settings, worker_settings
from worker.settings.secret_files import MOST_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from worker.settings.model import Settings

SECRETS = {
    "AMQP_URL": "amqp://worker:hush-file@localhost/",
    "MONGO_URL": "mongodb://worker:hush-file@localhost/",
    "SMS_HASH_KEY": "hush-file-key",
    "SMS_TARGET__SECRET": "hush-file-target",
    "SMS_TARGET__REPORT_TOKEN": "hush-file-token",
    "SMS_LEGACY__SECRET": "hush-file-legacy",
    "SMS_LEGACY__PARAMETERS": '{"route": "hush-file-route"}',
    "SMS_SMTP__PASSWORD": "hush-file-mail",
}
PLAIN = {name: value for name, value in GOOD.items() if name not in SECRETS} | {
    "SMS_SMTP__HOST": "mail.example",
    "SMS_SMTP__SENDER": "sms@example.com",
    "SMS_SMTP__USERNAME": "sms",
}
UNSET = dict.fromkeys(SECRETS, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all secrets of a worker."""
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a worker whose secrets are files."""
    for name in os.environ:
        if name.startswith(("SMS_", "AMQP_URL", "MONGO_URL")):
            monkeypatch.delenv(name)
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SMS_SECRETS_DIR", str(folder))
    return monkeypatch


def secrets_of(settings: Settings) -> dict[str, str]:
    """What the settings hold, by variable."""
    target, legacy, smtp = settings.target, settings.legacy, settings.smtp
    assert target.secret
    assert target.report_token
    assert legacy.secret
    assert smtp
    assert smtp.password
    return {
        "AMQP_URL": settings.amqp_url.get_secret_value(),
        "MONGO_URL": settings.mongo_url.get_secret_value(),
        "SMS_HASH_KEY": settings.hash_key.get_secret_value(),
        "SMS_TARGET__SECRET": target.secret.get_secret_value(),
        "SMS_TARGET__REPORT_TOKEN": target.report_token.get_secret_value(),
        "SMS_LEGACY__SECRET": legacy.secret.get_secret_value(),
        "SMS_LEGACY__PARAMETERS": f'{{"route": "{legacy.parameters["route"]}"}}',
        "SMS_SMTP__PASSWORD": smtp.password.get_secret_value(),
    }


@pytest.mark.usefixtures("environment")
def test_every_secret_can_be_a_file() -> None:
    assert secrets_of(worker_settings()) == SECRETS


@pytest.mark.parametrize("name", SECRETS)
def test_a_variable_goes_before_the_file_of_its_name(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    other = SECRETS[name].replace("file", "variable")
    environment.setenv(name, other)
    assert secrets_of(worker_settings()) == SECRETS | {name: other}


@pytest.mark.parametrize("name", SECRETS)
def test_an_empty_variable_leaves_the_file_in_force(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(name, "")
    assert secrets_of(worker_settings()) == SECRETS


def test_the_webhook_reads_its_tokens_from_a_file(
    folder: Path, environment: pytest.MonkeyPatch
) -> None:
    for name in PLAIN:
        environment.delenv(name)
    for file in folder.iterdir():
        file.unlink()
    (folder / "AMQP_URL").write_text("amqp://webhook:hush@localhost/", encoding="utf-8")
    (folder / "SMS_WEBHOOK_TOKENS").write_text('{"legacy": "hush-token"}\r\n', encoding="utf-8")
    (token,) = webhook_settings().webhook_tokens["legacy"]
    assert token.get_secret_value() == "hush-token"


def test_files_are_read_as_kubernetes_mounts_them(
    folder: Path, environment: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    volume = tmp_path_factory.mktemp("volume")
    folder.rename(volume / "..2026_01_01")
    (volume / "..data").symlink_to("..2026_01_01")
    for name in SECRETS:
        (volume / name).symlink_to(f"..data/{name}")
    environment.setenv("SMS_SECRETS_DIR", str(volume))
    assert secrets_of(worker_settings()) == SECRETS


@pytest.mark.usefixtures("environment")
def test_commands_read_the_files_too(folder: Path) -> None:
    own = SECRETS["AMQP_URL"].replace("worker", "ann")
    (folder / "AMQP_URL_ANN").write_text(own, encoding="utf-8")
    assert addresses.amqp_url("ann") == own
    assert addresses.amqp_url("worker") == SECRETS["AMQP_URL"]
    assert addresses.mongo_url() == SECRETS["MONGO_URL"]
    assert addresses.message_settings().hash_key.get_secret_value() == SECRETS["SMS_HASH_KEY"]
    assert CliRunner().invoke(app, ["check-config"]).exit_code == 0


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("SMS_LEGACY_SECRET", "expected the name of a setting (did you mean SMS_LEGACY__SECRET?)"),
        ("password", "expected the name of a setting"),
        ("SMS_SECRETS_DIR", "expected the name of a setting"),
        ("AMQP_URL_", "expected the name of a setting"),
    ],
)
def test_a_file_that_no_setting_reads_is_named(name: str, problem: str, folder: Path) -> None:
    (folder / name).write_text("hush-nobody", encoding="utf-8")
    (found,) = refused(**UNSET | PLAIN, SMS_SECRETS_DIR=str(folder))
    assert found.startswith(f"SMS_SECRETS_DIR: {name}: {problem}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"hush" * (MOST_BYTES // 4) + b"\n", f"expected at most {MOST_BYTES} bytes, got more"),
        (b"hush\xff", "expected text in UTF-8"),
        ("dangling", "No such file or directory"),
        ("folder", "expected a file, got something else"),
        ("pipe", "expected a file, got something else"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_setting(
    content: bytes | str, problem: str, folder: Path
) -> None:
    file = folder / "SMS_HASH_KEY"
    file.unlink()
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content == "dangling":
        file.symlink_to("nowhere")
    elif content == "folder":
        file.mkdir()
    else:
        os.mkfifo(file)
    found = refused(**UNSET | PLAIN, SMS_SECRETS_DIR=str(folder))
    assert found == [f"SMS_HASH_KEY: {file}: {problem}"]


@pytest.mark.usefixtures("environment")
def test_a_command_is_refused_as_well_if_a_file_cannot_be_read(folder: Path) -> None:
    (folder / "AMQP_URL").unlink()
    (folder / "AMQP_URL").mkdir()
    result = CliRunner().invoke(app, ["dead", "list"])
    assert result.exit_code == 2
    assert f"AMQP_URL: {folder}/AMQP_URL: expected a file" in result.stderr


@pytest.mark.parametrize("content", ["hush\n\n", " hush\n", "hush\r"])
def test_no_more_than_one_line_end_is_left_out(content: str, folder: Path) -> None:
    (folder / "SMS_HASH_KEY").write_bytes(content.encode())
    (found,) = refused(**UNSET | PLAIN, SMS_SECRETS_DIR=str(folder))
    assert found.startswith("SMS_HASH_KEY: expected no control characters")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (found,) = refused(SMS_SECRETS_DIR=str(tmp_path / "none"))
    assert found == f"SMS_SECRETS_DIR: {tmp_path}/none: No such file or directory"


def test_an_object_and_a_file_below_it_with_two_values_are_refused(folder: Path) -> None:
    (folder / "SMS_ROLES__ANN").write_text("administrator", encoding="utf-8")
    given = {"SMS_ROLES": '{"ann": "observer"}', "SMS_SECRETS_DIR": str(folder)}
    problem = "SMS_ROLES: expected one value, got another one in SMS_ROLES__ANN"
    assert refused(**UNSET | PLAIN | given) == [problem]


def test_a_key_that_an_object_in_a_file_repeats_is_refused(folder: Path) -> None:
    (folder / "SMS_LEGACY__PARAMETERS").write_text('{"a": "hush", "a": "hush2"}', encoding="utf-8")
    environment = UNSET | PLAIN | {"SMS_SECRETS_DIR": str(folder)}
    assert refused(**environment) == ["SMS_LEGACY__PARAMETERS: a: given more than once"]
