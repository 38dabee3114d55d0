"""A control log in which a newer version wrote: what is not understood stops nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contracts import control
from tests.support.fakes import EPOCH, HandClock, snapshot
from tests.unit.control.test_commands import Harness, bench
from worker.ports.store import StoreUnavailable, UnreadableDocument
from worker.store.control_log import ControlLogStore
from worker.store.snapshots import of_snapshot

if TYPE_CHECKING:
    from worker.domain.migration.snapshot import Snapshot

__all__ = ["bench"]  # a fixture


class Found:
    """A driver's cursor."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.documents = documents

    def sort(self, _order: list[tuple[str, int]]) -> Found:
        return Found(sorted(self.documents, key=lambda each: -each["_id"]))

    def limit(self, count: int) -> Found:
        return Found(self.documents[:count])

    async def to_list(self, _: None) -> list[dict[str, Any]]:
        return self.documents


class Collection:
    """Entries 1 to 3, an hour apart; those numbered are a newer version's."""

    def __init__(self, newer: set[int]) -> None:
        states = {number: of_snapshot(snapshot(number, version=number)) for number in (1, 2, 3)}
        for number in newer:
            states[number]["phase"] = "Canary"
        self.documents = [
            {
                "_id": number,
                "user": "ann",
                "commandId": f"c-{number}",
                "command": {"name": "step"},
                "verdict": "accepted",
                "before": None,
                "after": after,
                "reply": {},
                "evidence": {},
                "at": EPOCH + timedelta(hours=number),
                "version": number,
                "changed": True,
            }
            for number, after in states.items()
        ]

    def find(self, query: dict[str, Any]) -> Found:
        if "command.name" in query:
            return Found([])
        plain = ("version", "user", "commandId")
        asked = {name: query[name] for name in plain if name in query}
        return Found([each for each in self.documents if asked.items() <= each.items()])


def log(*newer: int) -> ControlLogStore:
    return ControlLogStore(Collection(set(newer)), HandClock())


async def test_the_last_state_is_not_understood_rather_than_half_of_it() -> None:
    with pytest.raises(
        UnreadableDocument, match="version 3 of the state was written by a newer worker"
    ):
        await log(3).last()


async def test_a_state_that_is_not_understood_is_as_good_as_a_store_that_is_away() -> None:
    with pytest.raises(StoreUnavailable):
        await log(3).last()


async def test_an_earlier_entry_of_a_newer_version_does_not_matter_to_the_last() -> None:
    found = await log(1, 2).last()
    assert found == (3, snapshot(3, version=3))


async def test_a_history_leaves_out_what_is_not_understood() -> None:
    assert [each.number for each in await log(2).history(9, None)] == [3, 1]


async def test_the_last_known_good_version_is_one_that_is_understood() -> None:
    async def good(*newer: int) -> Snapshot | None:
        return await log(*newer).known_good(60.0)

    assert await good() == snapshot(2, version=2)
    assert await good(2) == snapshot(1, version=1)
    assert await good(1, 2) is None


async def test_a_version_that_is_asked_for_by_number_is_not_understood() -> None:
    with pytest.raises(UnreadableDocument):
        await log(2).state_at(2)
    with pytest.raises(UnreadableDocument):
        await log(2).find("ann", "c-2")


async def test_even_a_downward_command_is_answered_where_the_state_is_not_understood(
    bench: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the next try may reach a replica that understands it."""

    async def last() -> None:
        raise UnreadableDocument("version 3 of the state was written by a newer worker")

    monkeypatch.setattr(bench.log, "last", last)
    reply = await bench.take(control.EmergencyRollback)
    assert (reply.code, reply.verdict) == ("store unavailable", "refused")
    assert "written by a newer worker" in reply.text
