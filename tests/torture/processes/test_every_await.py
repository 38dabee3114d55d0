"""Every await of the lives of messages, commands and reports has a fault point, or a reason."""

from __future__ import annotations

from typing import Final

import pytest

from tests.torture.processes.awaits import KNOWN, SOURCES, WORKER, explained_by, in_source, ours

OURS: Final = ours()


def explanations(source: str) -> dict[str, str | None]:
    """What explains each await of a source, by line and text."""
    text = (WORKER / source).read_text()
    return {f"{line}: {each}": explained_by(source, each, OURS) for line, each in in_source(text)}


@pytest.mark.parametrize("source", SOURCES)
def test_every_await_leads_to_a_fault_point_or_has_a_reason(source: str) -> None:
    unexplained = [where for where, reason in explanations(source).items() if reason is None]
    assert unexplained == []


def test_no_entry_of_the_tables_is_left_over() -> None:
    used = {reason for source in SOURCES for reason in explanations(source).values()}
    assert KNOWN - used == set()


@pytest.mark.parametrize(
    "line",
    [
        "await self._collection.find_one_and_delete({})",  # a call to the database
        "await channel.basic_publish(body)",  # known, but of another source
        "await message.ack()",
        "await self.client.post(url)",  # an unknown thing
        "await asyncio.to_thread(work)",
        "async with session.get(url): pass",
        "async for document in self._collection.find({}): pass",
        "[each async for each in changes]",
        "await answers[0]",
    ],
)
def test_an_await_without_a_fault_point_is_found(line: str) -> None:
    [(_, awaited)] = in_source(f"async def life():\n    {line}")
    assert explained_by("handlers/send.py", awaited, OURS) is None


def test_an_await_whose_operation_is_not_in_the_registry_is_found() -> None:
    awaited = "self._collection.insert_many"
    assert explained_by("store/committer.py", awaited, OURS) is not None
    assert explained_by("store/reports.py", awaited, OURS) is None
