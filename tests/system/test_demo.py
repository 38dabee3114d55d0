"""The demo keeps its promises, at twice the pace and with one fault beside the hang."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from worker.lab.demo.run import run
from worker.lab.demo.scenes import FAULTS, Pace
from worker.lab.demo.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

SHORT = Pace(rate_per_s=50.0, share_messages=100, fault_messages=30, faults=FAULTS[:1])


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    any(name == "MONGO_URL" or name.startswith("AMQP_URL") for name in os.environ),
    reason="kills workers and reads every dead letter: its own broker and database only",
)
async def test_every_promise_of_the_demo_holds(tmp_path: Path) -> None:
    output = io.StringIO()
    held = await run(tmp_path / "demo", Screen(output), SHORT)
    assert held, output.getvalue()
    assert output.getvalue().splitlines()[-1].startswith("PASS: ")
