"""The local list of who wants no messages, over a server whose clock the test sets."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.fakes import EPOCH, HandClock
from worker.domain.messages.consent import Wish
from worker.domain.messages.message import Recipient
from worker.store import suppressions
from worker.store.suppressions import SuppressionStore

BANK = frozenset({"bank"})
Document = dict[str, Any]


class Answer:
    def __init__(self, documents: list[Document]) -> None:
        self.documents = documents

    async def to_list(self, _most: object) -> list[Document]:
        return self.documents


class Server:
    """Answers the pipelines of the store from its documents, and says its own time."""

    def __init__(self) -> None:
        self.now = EPOCH
        self.documents: list[Document] = []
        self.asked_for: list[Document] = []

    def aggregate(self, pipeline: list[Document]) -> Answer:
        stages = {name: value for stage in pipeline for name, value in stage.items()}
        ((field, compared),) = stages["$match"].items()
        found = [each for each in self.documents if fits(each[field], compared)]
        self.asked_for.append(stages["$match"])
        found = sorted(found, key=lambda each: str(each["_id"]))[: stages.get("$limit")]
        return Answer([{**each, "now": self.now} for each in found])

    def opt_out(self, ident: str) -> None:
        self.documents.append({"_id": ident, "source": "code 406", "at": self.now})


def fits(value: Any, compared: Any) -> bool:
    if not isinstance(compared, dict):
        return bool(value == compared)
    return bool(value >= compared["$gte"] if "$gte" in compared else value > compared["$gt"])


class Harness:
    def __init__(self) -> None:
        self.server, self.clock = Server(), HandClock()
        self.list = SuppressionStore(self.server, lambda _: None, self.clock)

    def passes(self, seconds: float, server: timedelta = timedelta()) -> None:
        """Time, and what sets the server's clock meanwhile."""
        self.clock.advance(seconds)
        self.server.now += timedelta(seconds=seconds) + server

    async def known(self, ident: str) -> bool:
        await self.list.follow()
        return self.list.stops(ident, BANK)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Harness:
    monkeypatch.setattr(suppressions, "_PART", 1)  # the rest of the list is far away
    made = Harness()
    made.server.opt_out("a")
    return made


@pytest.mark.parametrize("away_s", [1, 600])
@pytest.mark.parametrize("back", [timedelta(minutes=2), timedelta(hours=1), timedelta(days=400)])
async def test_an_opt_out_is_known_at_the_next_look_after_the_server_s_clock_went_back(
    bench: Harness, back: timedelta, away_s: float
) -> None:
    for ident in ("b", "c", "d"):
        bench.server.opt_out(ident)
        assert await bench.known(ident)
    bench.passes(1, -back)
    bench.server.opt_out("z")
    bench.passes(away_s)
    assert await bench.known("z")


async def test_an_opt_out_whatever_its_date_is_known_once_the_whole_list_was_read_again(
    bench: Harness,
) -> None:
    await bench.list.follow()
    bench.passes(3_600)
    bench.server.opt_out("b")
    await bench.list.follow()
    bench.server.documents.append({"_id": "z", "source": "", "at": EPOCH - timedelta(days=1)})
    looks = [await bench.known("z") for _ in range(4)]
    assert looks[-1]


async def test_a_steady_server_is_asked_for_what_is_new_and_for_one_part(bench: Harness) -> None:
    await bench.list.follow()
    bench.passes(3_600)
    bench.server.opt_out("b")
    await bench.list.follow()
    bench.server.asked_for.clear()
    bench.passes(1)
    await bench.list.follow()
    assert sorted(map(repr, bench.server.asked_for)) == sorted(
        map(repr, [{"_id": {"$gt": "b"}}, {"at": {"$gte": since(bench, minutes=1)}}])
    )


def since(bench: Harness, **before: float) -> datetime:
    newest: datetime = max(each["at"] for each in bench.server.documents)
    return newest - timedelta(**before)


async def test_an_opt_out_on_its_way_to_the_store_stops_although_the_list_is_read_again(
    bench: Harness,
) -> None:
    bench.list._put = never
    told = Wish("bank", stopped=True, at=EPOCH, source="test")
    writing = asyncio.create_task(bench.list.record(Recipient("y", ""), told))
    await asyncio.sleep(0)
    stored = {"sender": "bank", "stopped": False, "at": EPOCH}
    bench.server.documents.append({"_id": "y", "rev": 3, "wishes": [stored], "at": EPOCH})
    assert await bench.known("y")
    writing.cancel()


async def never(_recipient: Recipient, _wish: Wish) -> bool:
    await asyncio.Event().wait()
    return False
