"""The exit codes of the deployed processes."""

from __future__ import annotations

import pytest
import typer

from worker.cli import run
from worker.service import LeftUndoneError, StartError


async def _ends_with(error: Exception | None) -> None:
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StartError("AMQP_URL: refused"), 1),
        (KeyError("a bug"), 1),
        (LeftUndoneError("2 deliveries of sms.send.bulk"), 3),
    ],
)
def test_the_exit_code_says_how_a_process_ended(error: Exception, code: int) -> None:
    with pytest.raises(typer.Exit) as ended:
        run._run(_ends_with(error))
    assert ended.value.exit_code == code


def test_a_process_that_finished_all_ends_without_a_code() -> None:
    run._run(_ends_with(None))
