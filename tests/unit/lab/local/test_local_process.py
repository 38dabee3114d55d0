"""Children of the local stack: real processes, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from worker.lab.local.process import Child, LocalError, ProcessId

if TYPE_CHECKING:
    from pathlib import Path

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""

PARENT = """
import asyncio, sys
from pathlib import Path
from worker.lab.local.process import Child

async def main():
    command = ["/bin/sleep", "600"]
    child = Child("c", command, environment={}, log=Path("c.log"), directory=Path.cwd())
    await child.start()
    print(child.id.pid, child.id.started, flush=True)
    await child.wait()

asyncio.run(main())
"""


def child(directory: Path, *command: str) -> Child:
    return Child(
        "part",
        command,
        environment={"PATH": os.defpath},
        log=directory / "logs" / "part.log",
        directory=directory,
    )


async def never() -> bool:
    return False


async def says(part: Child, text: str) -> None:
    async def said() -> bool:
        return text in part.log.read_text()

    await part.ready(said, within_s=10)


async def test_stop_ends_a_child_in_good_time(tmp_path: Path) -> None:
    part = child(tmp_path, "/bin/sleep", "600")
    await part.start()
    assert part.id.alive()
    await part.stop()
    assert not part.id.alive()
    assert await part.wait() in {-signal.SIGTERM, 0}


async def test_stop_kills_what_ignores_sigterm(tmp_path: Path) -> None:
    part = child(tmp_path, sys.executable, "-c", STUBBORN)
    await part.start()
    await says(part, "up")
    await part.stop(grace_s=0.2)
    assert await part.wait() == -signal.SIGKILL


async def test_kill_takes_the_whole_group(tmp_path: Path) -> None:
    part = child(tmp_path, "/bin/sh", "-c", "sleep 600 & echo $!; wait")
    await part.start()
    await says(part, "\n")
    grandchild = ProcessId.of(int(part.log.read_text()))
    await part.kill()
    await grandchild.end(grace_s=5)  # returns at once: it is dead or about to be reaped
    assert not grandchild.alive()


async def test_stop_is_idempotent_and_safe_when_never_started(tmp_path: Path) -> None:
    part = child(tmp_path, "/bin/sleep", "600")
    await part.stop()
    await part.start()
    await part.stop()
    await part.stop()
    assert not part.running


async def test_a_child_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    part = child(tmp_path, "/bin/sh", "-c", "echo no such thing; exit 3")
    await part.start()
    with pytest.raises(LocalError, match=r"(?s)part: ended with exit code 3.*no such thing"):
        await part.ready(never, within_s=10)


async def test_a_child_that_is_never_ready_is_reported(tmp_path: Path) -> None:
    part = child(tmp_path, "/bin/sleep", "600")
    await part.start()
    try:
        with pytest.raises(LocalError, match=r"part: not ready in 0\.2 s"):
            await part.ready(never, within_s=0.2)
    finally:
        await part.kill()


async def test_a_child_has_its_own_process_group(tmp_path: Path) -> None:
    part = child(tmp_path, "/bin/sleep", "600")
    await part.start()
    try:
        assert os.getpgid(part.id.pid) == part.id.pid
    finally:
        await part.kill()


async def test_a_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109 - the project's root
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid, started = map(int, (await parent.stdout.readline()).split())
    orphan = ProcessId(pid, started)
    assert orphan.alive()
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(5):
        await orphan._gone()


async def test_a_reused_pid_is_not_signalled(tmp_path: Path) -> None:
    part = child(tmp_path, "/bin/sleep", "600")
    await part.start()
    try:
        stranger = ProcessId(part.id.pid, part.id.started - 1)
        assert not stranger.alive()
        await stranger.end(grace_s=1)
        assert part.id.alive()
    finally:
        await part.kill()
