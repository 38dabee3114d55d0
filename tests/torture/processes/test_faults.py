"""Faults happen where and when they are written to, once; a deployed worker knows none."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import AutoReconnect
from typer.testing import CliRunner

from tests.torture.points import POINTS
from tests.torture.processes import faulty_database
from tests.torture.processes.faults import QUEUE, Fault, Faults
from tests.torture.processes.program import FAULTS
from worker.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPERATION = "database.messages.insert_many"
BEFORE, APPLIED = f"{OPERATION}.before", f"{OPERATION}.applied"


class Collection:
    """Stands in for a collection of the driver."""

    name = "messages"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*_args: object) -> str:
            self.calls.append(name)
            return f"{name} done"

        return call


def collection(written: str, real: Collection, passed: Path | None = None) -> Any:
    """The collection with these faults."""
    return faulty_database._Collection(Faults(written, passed), real)


async def calls_that_fail(faulty: Any, count: int) -> list[int]:
    """Call so often; returns which calls failed."""
    failed = []
    for number in range(1, count + 1):
        try:
            await faulty.insert_many([])
        except AutoReconnect:
            failed.append(number)
    return failed


async def test_without_faults_a_call_is_the_drivers() -> None:
    real = Collection()
    assert await collection("", real).insert_many([]) == "insert_many done"
    assert real.calls == ["insert_many"]


@pytest.mark.parametrize(("point", "done"), [(BEFORE, 2), (APPLIED, 3)])
async def test_a_fault_happens_once_at_its_pass_before_or_after_the_call(
    point: str, done: int
) -> None:
    real = Collection()
    assert await calls_that_fail(collection(f"{point}:2:raise", real), 3) == [2]
    assert len(real.calls) == done


async def test_several_faults_happen_each_at_its_own_pass() -> None:
    written = f"{BEFORE}:1:raise,{APPLIED}:2:raise"
    assert await calls_that_fail(collection(written, Collection()), 4) == [1, 3]


async def test_only_passes_in_the_hands_of_the_named_queue_count() -> None:
    faulty = collection(f"{BEFORE}@sms.reports:1:raise", Collection())
    assert await calls_that_fail(faulty, 2) == []
    token = QUEUE.set("sms.reports")
    assert await calls_that_fail(faulty, 2) == [1]
    QUEUE.reset(token)


async def test_a_call_that_hangs_never_returns() -> None:
    real = Collection()
    hanging = asyncio.create_task(collection(f"{APPLIED}:1:hang", real).insert_many([]))
    await asyncio.wait({hanging}, timeout=0.05)
    assert (real.calls, hanging.done()) == (["insert_many"], False)
    hanging.cancel()


async def test_a_signal_goes_to_the_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr("os.kill", lambda _pid, number: sent.append(number))
    written = f"{BEFORE}:1:term,{BEFORE}:2:kill"
    await calls_that_fail(collection(written, Collection()), 2)
    assert sent == [signal.SIGTERM, signal.SIGKILL]


async def test_every_passed_point_is_noted_with_its_queue(tmp_path: Path) -> None:
    await collection("", Collection(), tmp_path / "passed").insert_many([])
    assert (tmp_path / "passed").read_text().split() == [f"{BEFORE}@", f"{APPLIED}@"]


async def test_a_call_of_a_life_that_the_registry_lacks_raises() -> None:
    with pytest.raises(AssertionError, match=r"no fault point database\.messages\.drop"):
        await collection("", Collection()).drop()


@pytest.mark.parametrize("point", POINTS)
def test_a_fault_is_read_as_it_is_written(point: str) -> None:
    for written in (f"{point}:1:kill", f"{point}@sms.send.bulk:3:term"):
        assert str(Fault.read(written)) == written


@pytest.mark.parametrize(
    "written",
    ["database.messages.none.before:1:kill", f"{BEFORE}:1:explode", f"{BEFORE}:x:kill", BEFORE],
)
def test_what_is_no_fault_is_refused(written: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each for a reason of its own
        Fault.read(written)


def test_a_deployed_worker_refuses_a_variable_with_faults() -> None:
    environment = {FAULTS: f"{BEFORE}:1:kill"}
    answer = CliRunner(env=environment).invoke(app, ["check-config"])
    assert answer.exit_code == 2
    assert f"{FAULTS}: expected the name of a setting" in answer.output
