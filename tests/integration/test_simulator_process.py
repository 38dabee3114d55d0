"""The simulator as a process of its own: address line, journal, signals."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import pytest

from worker.lab.simulator import Simulator

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "from worker.cli.simulate import app; app()"
FORM = {"username": "u", "to": "+260977123456"}


class Process:
    """`simulate africastalking` with a journal."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self.where: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, "africastalking", "--journal", str(self._journal)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            self.where = json.loads(await self._process.stdout.readline())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    async def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        async with asyncio.timeout(10):
            return await self._process.wait()


async def send(url: str, text: str) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{url}/version1/messaging", data={**FORM, "message": text}, headers={"apiKey": "k"}
        ) as response,
    ):
        return response.status


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200
        return await response.json()


async def test_the_journal_file_survives_sigkill_and_is_continued(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    async with Process(file) as process:
        for number in range(20):
            assert await send(process.where["url"], f"hello #m-{number}") == 201
        assert await process.end(signal.SIGKILL) == -signal.SIGKILL
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["key"] for line in lines] == [f"m-{number}" for number in range(20)]
    async with Simulator("africastalking", journal=file) as simulator:
        assert await send(simulator.base_url, "again #m-3") == 201
        assert [entry.seq for entry in simulator.journal] == list(range(1, 22))
        assert simulator.journal.summary()["duplicates"] == {"m-3": 2}
    assert len(file.read_text().splitlines()) == 21


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    async with Process(tmp_path / "journal.jsonl") as process:
        assert await get(f"{process.where['url']}/journal?limit=0") == {"entries": [], "last": 0}
        assert await process.end(number) == 0


async def test_the_journal_is_served_in_pages() -> None:
    async with Simulator("africastalking") as simulator:
        for number in range(5):
            await send(simulator.base_url, f"hello #m-{number}")
        page = await get(f"{simulator.base_url}/journal?since=1&limit=2")
        assert [entry["key"] for entry in page["entries"]] == ["m-1", "m-2"]
        assert page["last"] == 5
        assert set(page["entries"][0]) >= {"at", "monotonic", "provider", "id", "to", "from"}


async def test_summaries_count_what_was_taken_and_what_was_refused() -> None:
    async with Simulator("africastalking") as simulator:
        simulator.set_faults(
            [{"match": {"text_regex": "no"}, "action": {"do": "refuse", "code": 407}}]
        )
        for text in ("a #m-1", "b #m-1", "c", "no"):
            await send(simulator.base_url, text)
        assert await get(f"{simulator.control_url}/journal/summary") == {
            "provider": "africastalking",
            "taken": 3,
            "keys": 1,
            "without_key": 1,
            "duplicates": {"m-1": 2},
        }
        requests = await get(f"{simulator.control_url}/requests/summary")
        assert requests["total"] == 4
        assert requests["answers"] == {"201": 4}
        assert requests["sms"] == {"taken": 3, "not_taken": 1}


async def test_what_is_no_endpoint_is_not_found() -> None:
    async with (
        Simulator("legacy") as simulator,
        aiohttp.ClientSession() as http,
        http.get(f"{simulator.base_url}/nothing") as response,
    ):
        assert response.status == 404


async def test_a_taken_port_is_an_error_that_leaves_nothing_behind() -> None:
    async with Simulator("legacy") as first:
        port = int(first.base_url.rpartition(":")[2])
        second = Simulator("legacy", port=port)
        with pytest.raises(OSError, match="in use"):
            await second.start()
