"""`sms-worker send`: what is no message is a usage error, told by field, and nothing is sent."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from worker.cli import app

NUMBER = "0977123456"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ([NUMBER, ""], "text"),
        ([NUMBER, "a NUL \x00"], "text"),
        ([NUMBER, "half a pair \udcff"], ""),
        ([NUMBER, "long" * 20_000], ""),
        (["", "hello"], "to"),
        ([NUMBER * 7, "hello"], "to"),
        ([NUMBER, "hello", "--id", "x "], "messageId"),
        ([NUMBER, "hello", "--id", "x" * 129], "messageId"),
        ([NUMBER, "hello", "--user", "u\n7"], "userId"),
        ([NUMBER, "hello", "--branch", str(2**63)], "branchId"),
    ],
)
def test_what_is_no_message_is_a_usage_error_by_field(arguments: list[str], field: str) -> None:
    result = CliRunner().invoke(app, ["send", *arguments])
    told = " ".join(result.output.replace("\u2502", " ").split())
    assert (result.exit_code, type(result.exception)) == (2, SystemExit)
    assert f"Invalid value: {field}" in told
    assert NUMBER not in told
