"""How a process starts and ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from structlog.testing import capture_logs

from worker.app.health import BrokerHealth, StoreHealth
from worker.app.start_and_stop import DrainTogether, Process
from worker.service import Background, LeftUndoneError

if TYPE_CHECKING:
    from collections.abc import Callable


class Part:
    """A service that notes what is asked of it, and fails where told."""

    def __init__(self, name: str, notes: list[str], *, fails: str = "", hangs: str = "") -> None:
        self.name, self.notes, self.fails, self.hangs = name, notes, fails, hangs

    async def _do(self, verb: str) -> None:
        self.notes.append(f"{verb} {self.name}")
        if verb == self.hangs:
            await asyncio.Event().wait()
        if verb == self.fails:
            raise KeyError(verb)

    async def start(self) -> None:
        await self._do("start")

    async def drain(self) -> None:
        await self._do("drain")

    async def stop(self) -> None:
        await self._do("stop")


def stopped() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def test_services_drain_and_stop_in_the_reverse_order() -> None:
    notes: list[str] = []
    stop = asyncio.Event()
    parts = (Part("a", notes), Part("b", notes))
    running = asyncio.create_task(Process(parts, Background()).run(stop))
    while notes != ["start a", "start b"]:
        await asyncio.sleep(0)
    stop.set()
    await running
    assert notes[2:] == ["drain b", "drain a", "stop b", "stop a"]


async def test_a_start_that_fails_is_raised_and_everything_is_put_away() -> None:
    notes: list[str] = []
    parts = (Part("a", notes), Part("b", notes, fails="start"), Part("c", notes))
    with pytest.raises(KeyError):
        await Process(parts, Background()).run(asyncio.Event())
    assert notes == ["start a", "start b", "drain b", "drain a", "stop b", "stop a"]


async def test_a_drain_that_fails_keeps_no_other_from_draining() -> None:
    notes: list[str] = []
    background = Background()
    parts = (Part("a", notes), Part("b", notes, fails="drain"))

    async def die() -> None:
        raise ValueError("dead")

    background.spawn(die(), "task")
    with pytest.raises(ValueError, match="dead"):
        await Process(parts, background).run(asyncio.Event())
    assert notes[-2:] == ["stop b", "stop a"]
    assert "drain a" in notes


async def test_the_last_line_names_what_is_left_undone() -> None:
    background = Background()
    for what, count in (("deliveries", 2), ("writes", 1), ("writes", 3), ("reports", 0)):
        background.owes(what, lambda count=count: count)
    with capture_logs() as lines, pytest.raises(LeftUndoneError) as ended:
        await Process((), background).run(stopped())
    left = ["2 deliveries", "4 writes"]
    assert lines[-1] == {"event": "stopped", "log_level": "warning", "left": left}
    assert str(ended.value) == "2 deliveries, 4 writes"


async def test_the_last_line_names_nothing_if_all_is_done() -> None:
    background = Background()
    background.owes("deliveries", lambda: 0)
    with capture_logs() as lines:
        await Process((), background).run(stopped())
    assert lines[-1] == {"event": "stopped", "log_level": "info", "left": []}


async def test_what_failed_is_raised_before_what_is_left() -> None:
    background = Background()
    background.owes("deliveries", lambda: 1)
    with pytest.raises(KeyError):
        await Process((Part("a", [], fails="drain"),), background).run(stopped())


@pytest.mark.parametrize("verb", ["drain", "stop"])
async def test_an_end_that_hangs_is_cut_off_and_what_failed_before_is_raised(verb: str) -> None:
    parts = (Part("a", [], hangs=verb), Part("b", [], fails="drain"))
    with capture_logs() as lines, pytest.raises(KeyError):
        await asyncio.wait_for(Process(parts, Background(), 0.05).run(stopped()), 5)
    assert [line["event"] for line in lines[-2:]] == ["the end takes too long: cut off", "stopped"]


async def test_stop_interrupts_a_start_that_hangs() -> None:
    notes: list[str] = []
    parts = (Part("a", notes), Part("b", notes, hangs="start"), Part("c", notes))
    await asyncio.wait_for(Process(parts, Background()).run(stopped()), 5)
    assert "start c" not in notes
    assert notes[-1] == "stop a"


async def test_together_drains_all_at_once() -> None:
    notes: list[str] = []
    both = DrainTogether(Part("a", notes, hangs="drain"), Part("b", notes))
    draining = asyncio.create_task(both.drain())
    while "drain b" not in notes:
        await asyncio.sleep(0)
    assert not draining.done()
    draining.cancel()
    await asyncio.gather(draining, return_exceptions=True)


# --- a broker that takes nothing ---------------------------------------------------------------


class Blockable:
    """A link as `BrokerHealth` sees it."""

    def __init__(self) -> None:
        self.is_blocked = False
        self.problem = ""
        self._told: list[Callable[[bool], None]] = []

    def on_blocked(self, call: Callable[[bool], None]) -> None:
        self._told.append(call)

    def block(self, *, blocked: bool) -> None:
        self.is_blocked = blocked
        for call in self._told:
            call(blocked)


class Noted:
    """Lanes and alerts that note what they are told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def hold(self, who: str) -> None:
        self.notes.append(f"hold {who}")

    def free(self, who: str) -> None:
        self.notes.append(f"free {who}")

    def raise_alert(self, code: str, _reason: str) -> None:
        self.notes.append(f"raised {code}")

    def resolve(self, code: str, _reason: str) -> None:
        self.notes.append(f"over {code}")


def test_a_blocked_broker_holds_the_lanes_is_told_and_makes_us_unready_until_it_is_over() -> None:
    link, noted = Blockable(), Noted()
    consuming: Any = Blockable()
    health = BrokerHealth(consuming, cast("Any", link), cast("Any", noted), cast("Any", noted))
    assert health.check() == (True, "both connections")
    link.block(blocked=True)
    assert health.check() == (False, "blocked by the broker: memory or disk alarm")
    link.block(blocked=False)
    assert health.check() == (True, "both connections")
    assert noted.notes == [
        "hold broker", "raised broker-blocked", "free broker", "over broker-blocked",
    ]  # fmt: skip
    consuming.problem = "not connected: nothing listens there"
    assert health.check() == (False, "not connected: nothing listens there")


def test_a_store_that_was_never_asked_is_not_said_to_be_reachable() -> None:
    noted: Any = Noted()
    health = StoreHealth(noted, noted)
    assert health.check() == (False, "not asked yet")
    health.away("nothing listens there")
    assert health.check() == (False, "nothing listens there")
    health.recovered()
    assert health.check() == (True, "reachable")
    assert noted.notes == ["hold store", "raised store", "free store", "over store"]
