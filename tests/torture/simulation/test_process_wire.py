"""A wire does to each call what its scenario says, and nothing else."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from tests.torture.simulation.fates import Fate
from tests.torture.simulation.process_wire import ProcessWire
from tests.torture.simulation.virtual import run
from tests.torture.simulation.wire import Lost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WITHIN_S = 5.0


class Process:
    """A process whose next call has a fate."""

    def __init__(self, fate: Fate | None = None) -> None:
        self.fate, self.alive, self.paused_until = fate, True, 0.0

    def fate_of(self, server: str, name: str) -> Fate | None:
        assert (server, name) == ("database", "database.messages.insert_many")
        return self.fate

    def did(self, name: str) -> None:
        assert name == "database.messages.insert_many"

    def kill(self) -> None:
        self.alive = False


class Server:
    """Counts what it did."""

    def __init__(self) -> None:
        self.done: list[float] = []
        self.there = True

    def apply(self) -> str:
        self.done.append(asyncio.get_running_loop().time())
        return "done"


def on_wire(
    process: Process,
    work: Callable[[ProcessWire, Server], Awaitable[None]],
    *,
    ordered: bool = False,
) -> Server:
    server = Server()

    async def go() -> None:
        wire = ProcessWire(
            process, "database", lambda: server.there, random.Random(1), ordered=ordered
        )
        await work(wire, server)

    run(go())
    return server


async def called(wire: ProcessWire, server: Server) -> str:
    return await wire.call("database.messages.insert_many", server.apply, within_s=WITHIN_S)


def outcome(fate: Fate | None) -> tuple[str, int, float]:
    """What the caller got, how often the server did it, and how long the caller waited."""
    got = ""
    waited = 0.0

    async def work(wire: ProcessWire, server: Server) -> None:
        nonlocal got, waited
        try:
            got = await asyncio.wait_for(called(wire, server), 60.0)
        except Lost:
            got = "lost"
        except asyncio.CancelledError:
            got = "killed"
        except TimeoutError:
            got = "nothing"
        waited = asyncio.get_running_loop().time()
        await asyncio.sleep(1.0)

    server = on_wire(Process(fate), work)
    return got, len(server.done), waited


@pytest.mark.parametrize(
    ("fate", "got", "times"),
    [
        (None, "done", 1),
        (Fate.KILL_BEFORE, "killed", 0),
        (Fate.KILL_APPLIED, "nothing", 1),
        (Fate.LOSE_REQUEST, "lost", 0),
        (Fate.RESET, "lost", 0),
        (Fate.LOSE_REPLY, "lost", 1),
        (Fate.RESET_AFTER, "lost", 1),
        (Fate.LATE, "lost", 1),
        (Fate.SLOW, "done", 1),
    ],
)
def test_each_fate_does_to_a_call_what_its_name_says(
    fate: Fate | None, got: str, times: int
) -> None:
    assert outcome(fate)[:2] == (got, times)


@pytest.mark.parametrize("fate", [Fate.LOSE_REQUEST, Fate.LOSE_REPLY, Fate.LATE, Fate.SLOW])
def test_a_caller_waits_as_long_as_it_said(fate: Fate) -> None:
    assert WITHIN_S - 0.1 < outcome(fate)[2] < WITHIN_S + 0.1


def test_a_late_request_is_done_after_its_caller_gave_up() -> None:
    async def work(wire: ProcessWire, server: Server) -> None:
        with pytest.raises(Lost):
            await called(wire, server)
        assert server.done == []
        await asyncio.sleep(1.0)
        assert len(server.done) == 1

    on_wire(Process(Fate.LATE), work)


def test_a_server_that_cannot_be_reached_does_nothing() -> None:
    async def work(wire: ProcessWire, server: Server) -> None:
        server.there = False
        with pytest.raises(Lost):
            await called(wire, server)
        assert server.done == []

    on_wire(Process(), work)


def test_a_killed_process_calls_no_more() -> None:
    async def work(wire: ProcessWire, server: Server) -> None:
        process.kill()
        with pytest.raises(asyncio.CancelledError):
            await called(wire, server)
        assert server.done == []

    process = Process()
    on_wire(process, work)


def test_a_paused_process_gets_its_reply_when_it_runs_again() -> None:
    async def work(wire: ProcessWire, server: Server) -> None:
        process.paused_until = 7.0
        assert await called(wire, server) == "done"
        assert asyncio.get_running_loop().time() >= 7.0

    process = Process()
    on_wire(process, work)


@pytest.mark.parametrize("ordered", [True, False])
def test_calls_of_one_connection_keep_their_order(*, ordered: bool) -> None:
    arrived: list[int] = []

    async def work(wire: ProcessWire, server: Server) -> None:
        del server
        calls = [
            wire.call("database.messages.insert_many", lambda n=n: arrived.append(n))
            for n in range(50)
        ]
        await asyncio.gather(*calls)

    on_wire(Process(), work, ordered=ordered)
    assert (arrived == sorted(arrived)) is ordered
