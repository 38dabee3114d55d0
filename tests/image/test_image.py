"""The image that was built runs as it is deployed: without rights, without a place to write."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.complete_settings import GOOD
from tests.support.waiting import until
from worker.lab.local.port import HOST, Port
from worker.lab.local.process import answers
from worker.lab.local.stack import Stack

if TYPE_CHECKING:
    import pytest

    from tests.image.conftest import Image

LOOK = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
def writable(folder):
    try:
        open(os.path.join(folder, "x"), "w").close()
    except OSError:
        return False
    return True
places = [folder for folder, *_ in os.walk("/") if not folder.startswith(("/proc", "/dev"))]
print(json.dumps({
    "user": os.getuid(),
    "capabilities": int(status["CapEff"], 16),
    "no_new_rights": int(status["NoNewPrivs"]),
    "writable": [folder for folder in places if writable(folder)],
}))
"""
CONFIGURATION = {name: value for name, value in GOOD.items() if name != "SMS_FLAGS_FILE"}
WITHIN_S = 60.0


def children(process: int) -> list[int]:
    """Process 1 of a container is the only child of its bubblewrap."""
    return [
        int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def test_it_has_no_rights_and_writes_nowhere(image: Image) -> None:
    result = image.run("python", "-c", LOOK)
    assert json.loads(result.stdout) == {
        "user": 65532,
        "capabilities": 0,
        "no_new_rights": 1,
        "writable": [],
    }


def test_no_tool_that_builds_or_installs_is_left(image: Image) -> None:
    for module in ("pip", "setuptools", "ensurepip"):
        assert "No module" in image.run("python", "-m", module).stderr
    names = {
        file.name
        for folder in ("usr/bin", "opt/sms-worker/bin")
        for file in (image.root / folder).iterdir()
    }
    assert names & {"pip", "pip3", "gcc", "cc", "make", "ld", "curl", "wget", "git"} == set()


def test_no_program_has_rights_of_its_own(image: Image) -> None:
    files = [Path(folder, name) for folder, _, names in os.walk(image.root) for name in names]
    assert [file for file in files if not file.is_symlink() and file.stat().st_mode & 0o6000] == []


def test_it_explains_itself(image: Image) -> None:
    result = image.run(*image.entrypoint, "--help")
    assert result.returncode == 0
    assert "check-config" in result.stdout


def test_it_accepts_a_good_configuration_and_names_a_bad_one(image: Image) -> None:
    good = image.run(*image.entrypoint, "check-config", **CONFIGURATION)
    assert (good.returncode, good.stdout) == (0, "configuration is valid\n"), good.stderr
    bad = image.run(*image.entrypoint, "check-config", **(CONFIGURATION | {"SMS_LEGACY__ID": ""}))
    assert bad.returncode == 2
    assert "SMS_LEGACY__ID" in bad.stderr


def test_without_a_server_it_is_not_healthy(image: Image) -> None:
    port = str(Port().number)
    ports = {"SMS_PRIVATE_PORT": port, "SMS_WEBHOOK_PORT": port}
    assert image.run(*image.healthcheck, **ports).returncode == 1


async def test_a_worker_is_ready_and_healthy_and_ends_when_asked(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name == "MONGO_URL" or name.startswith("AMQP_URL"):
            monkeypatch.delenv(name)
    async with Stack(tmp_path, replicas=0) as stack:
        port = Port()
        own = {"SMS_PRIVATE_HOST": HOST, "SMS_PRIVATE_PORT": str(port)}
        settings = stack.environment | own
        del settings["SMS_FLAGS_FILE"]  # the one in the image
        command = image.command(*image.entrypoint, *image.settings["Cmd"], **settings)
        process = await asyncio.create_subprocess_exec(*command)
        await until(lambda: answers(f"http://{HOST}:{port}/ready"), WITHIN_S)
        healthy = await asyncio.to_thread(image.run, *image.healthcheck, **own)
        assert healthy.returncode == 0
        os.kill(children(process.pid)[0], signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0


async def test_it_ends_when_asked_while_it_starts(image: Image) -> None:
    def started() -> list[int]:
        return [each for init in children(process.pid) for each in children(init)]

    command = image.command(*image.entrypoint, *image.settings["Cmd"], **CONFIGURATION)
    process = await asyncio.create_subprocess_exec(*command)
    await until(started, WITHIN_S)
    os.kill(children(process.pid)[0], signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), WITHIN_S) == 128 + signal.SIGTERM
