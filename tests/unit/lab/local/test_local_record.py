"""`stack.json`: what it promises to its readers."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from worker.lab.local.process import Child
from worker.lab.local.record import Running, StackRecord, end_leftovers, read_record, write_record

if TYPE_CHECKING:
    from pathlib import Path

GONE = Running(name="stack", pid=2**22 + 1, started=1)


async def sleeper(directory: Path) -> Child:
    child = Child(
        "replica-1",
        ["/bin/sleep", "600"],
        environment={},
        log=directory / "sleep.log",
        directory=directory,
    )
    await child.start()
    return child


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = StackRecord(owner=GONE, amqp={"worker": "amqp://x"}, mongo="mongodb://y", ready=True)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record


def test_no_record_means_no_stack(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None


def test_a_record_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    write_record(tmp_path, StackRecord(owner=GONE))
    write_record(tmp_path, StackRecord(owner=GONE, ready=True))
    assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


async def test_leftovers_are_ended_and_the_record_removed(tmp_path: Path) -> None:
    child = await sleeper(tmp_path)
    left = Running(name=child.name, pid=child.id.pid, started=child.id.started)
    write_record(tmp_path, StackRecord(owner=GONE, processes=(left,)))
    assert await end_leftovers(tmp_path) == ["replica-1"]
    await child.wait()
    assert read_record(tmp_path) is None


async def test_a_process_that_only_has_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    child = await sleeper(tmp_path)
    try:
        other = Running(name="x", pid=child.id.pid, started=child.id.started + 1)
        write_record(tmp_path, StackRecord(owner=GONE, processes=(other,)))
        assert await end_leftovers(tmp_path) == []
        assert child.id.alive()
    finally:
        await child.kill()
