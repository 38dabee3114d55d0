"""The flags file as bytes: read whole or refused in words, wherever it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.support.complete_settings import GOOD
from worker.cli import app
from worker.cli.ctl.changes import _document
from worker.domain.migration.flags_document import FlagsError
from worker.settings.flags_file import MAX_BYTES, read

SHIPPED = Path("deploy/flags.json").read_bytes()
TWICE = b'{"SmsFeatureFlags": {"EnableLegacy": false}, "SmsFeatureFlags": {"EnableLegacy": true}}'
HOSTILE = {
    "a section twice": (TWICE, "SmsFeatureFlags: given more than once"),
    "a field twice": (
        b'{"SmsFeatureFlags": {"EnableLegacy": true, "EnableLegacy": true}}',
        "EnableLegacy: given more than once",
    ),
    "a user twice": (
        b'{"SmsFeatureFlags": {"UserOverrides": {"ann": "legacy", "ann": "target"}}}',
        "ann: given more than once",
    ),
    "twice in an array": (b'{"Extras": [[{"a": 1, "a": 2}]]}', "a: given more than once"),
    "twice, once escaped": (b'{"Phases": {}, "\\u0050hases": {}}', "Phases: given more than once"),
    "UTF-8 with a mark": (
        b"\xef\xbb\xbf" + SHIPPED,
        "expected UTF-8 without a byte order mark, got UTF-8 with a byte order mark",
    ),
    "UTF-16": (SHIPPED.decode().encode("utf-16"), "byte order mark, got UTF-16"),
    "UTF-32": (SHIPPED.decode().encode("utf-32"), "byte order mark, got UTF-32"),
    "UTF-16 without a mark": (SHIPPED.decode().encode("utf-16-le"), "got a NUL"),
    "Latin-1": ('{"é": 1}'.encode("latin-1"), "expected UTF-8, got another byte at position 2"),
    "too deep to read": (b'{"a":' + b"[" * 200_000, "expected JSON, got too many levels"),
    "too deep to keep": (b'{"a":' + b"[" * 50 + b"]" * 50 + b"}", "a: expected at most 16 levels"),
    "a number of many digits": (b'{"a": ' + b"9" * 5_000 + b"}", "expected JSON"),
    "a number beyond 64 bit": (b'{"a": 9223372036854775808}', "a: expected a number of at most 64"),
    "NaN": (b'{"a": NaN}', "NaN, which is not a JSON number"),
    "Infinity": (b'{"a": [-Infinity]}', "-Infinity, which is not a JSON number"),
    "beyond a float": (b'{"a": 1e999}', "a: expected a number, got NaN or Infinity"),
    "half a pair in a value": (b'{"a": "\\ud83d"}', "a: expected text, got half a surrogate pair"),
    "half a pair in a key": (b'{"\\ude00": 1}', "\\ude00: expected text"),
    "too long": (b'{"a": "' + b"x" * MAX_BYTES + b'"}', f"expected at most {MAX_BYTES} bytes"),
    "no object": (b"[]", "expected a JSON object"),
    "cut off": (SHIPPED[:-20], "expected JSON"),
    "empty": (b"", "expected JSON"),
}


def test_the_shipped_file_is_read() -> None:
    assert read(SHIPPED) == json.loads(SHIPPED)


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_flags_document_is_told(case: str) -> None:
    data, told = HOSTILE[case]
    with pytest.raises(FlagsError) as caught:
        read(data)
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


def test_everything_given_twice_is_told_at_once() -> None:
    with pytest.raises(FlagsError) as caught:
        read(b'{"a": {"b": 1, "b": 2}, "a": {"c": 1, "c": 1, "c": 1}, "d": 1}')
    assert sorted(caught.value.problems) == [f"{each}: given more than once" for each in "abc"]


@pytest.mark.parametrize("case", HOSTILE)
def test_ctl_tells_it_and_applies_nothing(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, told = HOSTILE[case]
    (tmp_path / "flags.json").write_bytes(data)
    with pytest.raises(typer.Exit) as ended:
        _document(tmp_path / "flags.json")
    assert ended.value.exit_code == 2
    assert told in capsys.readouterr().err


def test_ctl_says_that_a_file_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        _document(tmp_path)
    assert "expected a file that can be read" in capsys.readouterr().err


@pytest.mark.parametrize("case", HOSTILE)
def test_check_config_tells_it_with_the_file(case: str, tmp_path: Path) -> None:
    data, told = HOSTILE[case]
    (tmp_path / "flags.json").write_bytes(data)
    environment = GOOD | {"SMS_FLAGS_FILE": str(tmp_path / "flags.json")}
    result = CliRunner(env=environment).invoke(app, ["check-config"])
    assert result.exit_code == 2
    assert f"{tmp_path / 'flags.json'}: " in result.stderr
    assert told in result.stderr
