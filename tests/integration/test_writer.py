"""Group commit: who is in which batch; and on the real store, what decides an operation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import quietly
from worker.domain.messages.message import Lane
from worker.service import Background
from worker.store.writer import MAX_BATCH, GroupCommit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

T, B = Lane.TRANSACTIONAL, Lane.BULK
Document = dict[str, Any]


@dataclass(frozen=True)
class Op:
    id: str


class Commit:
    """Takes batches as told; each operation wins, or is given the document that stands."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.stands: dict[str, Document] = {}
        self.error: Exception | None = None

    async def __call__(self, batch: Sequence[Op]) -> Mapping[str, Document | None]:
        self.batches.append([op.id for op in batch])
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {op.id: self.stands.get(op.id) for op in batch}


@pytest.fixture
def commit() -> Commit:
    return Commit()


@pytest.fixture
async def group(commit: Commit) -> AsyncIterator[GroupCommit[Op]]:
    made: GroupCommit[Op] = GroupCommit(commit, Background())
    await made.start()
    await turns()
    yield made
    commit.gate.set()
    await made.stop()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def handed_over(
    group: GroupCommit[Op], *ops: tuple[str, Lane]
) -> list[asyncio.Task[Document | None]]:
    tasks = [asyncio.create_task(group.run(Op(ident), lane)) for ident, lane in ops]
    await turns()
    return tasks


async def test_an_idle_writer_writes_at_once(group: GroupCommit[Op], commit: Commit) -> None:
    await handed_over(group, ("a", T))
    assert commit.batches == [["a"]]


async def test_each_waiter_gets_its_own_result(group: GroupCommit[Op], commit: Commit) -> None:
    commit.stands = {"b": {"_id": "b"}}
    tasks = await handed_over(group, ("a", T), ("b", T), ("c", B))
    assert await asyncio.gather(*tasks) == [None, {"_id": "b"}, None]


async def test_what_comes_in_meanwhile_is_the_next_batch(
    group: GroupCommit[Op], commit: Commit
) -> None:
    commit.gate.clear()
    tasks = await handed_over(group, ("a", T))
    tasks += await handed_over(group, *((f"m-{n}", B) for n in range(40)))
    assert len(commit.batches) == 1
    commit.gate.set()
    await asyncio.gather(*tasks)
    assert [len(batch) for batch in commit.batches] == [1, 40]


async def test_under_load_few_wait_for_company(group: GroupCommit[Op], commit: Commit) -> None:
    async def steady(n: int) -> None:
        await asyncio.sleep(n * 0.0005)  # the load: two thousand a second
        await group.run(Op(f"m-{n}"), B)

    await asyncio.gather(*(steady(n) for n in range(200)))
    assert len(commit.batches) < 200 / 4
    assert sum(map(len, commit.batches)) == 200


async def test_after_a_pause_nobody_waits_for_company(
    group: GroupCommit[Op], commit: Commit
) -> None:
    await asyncio.gather(*await handed_over(group, ("a", T), ("b", T)))
    await asyncio.sleep(0.05)  # a real pause, longer than the linger: there is no other sign of it
    await handed_over(group, ("c", T))
    assert commit.batches[-1] == ["c"]


async def test_transactional_goes_first(group: GroupCommit[Op], commit: Commit) -> None:
    commit.gate.clear()
    tasks = await handed_over(group, ("first", B))
    tasks += await handed_over(group, *((f"b-{n}", B) for n in range(MAX_BATCH)), ("t", T))
    commit.gate.set()
    await asyncio.gather(*tasks)
    assert commit.batches[1][0] == "t"
    assert len(commit.batches[1]) == MAX_BATCH
    assert len(commit.batches[2]) == 1


async def test_two_on_one_id_never_share_a_batch_and_keep_their_order(
    group: GroupCommit[Op], commit: Commit
) -> None:
    commit.gate.clear()
    tasks = await handed_over(group, ("first", T))
    tasks += await handed_over(group, ("a", B), ("b", B), ("a", T), ("a", B), ("c", B))
    commit.gate.set()
    await asyncio.gather(*tasks)
    assert commit.batches[1:] == [["a", "b", "c"], ["a"], ["a"]]


async def test_a_waiter_that_is_gone_does_not_take_its_write_along(
    group: GroupCommit[Op], commit: Commit
) -> None:
    commit.gate.clear()
    blocker, gone, stays = (
        *await handed_over(group, ("first", T)),
        *await handed_over(group, ("gone", T), ("stays", T)),
    )
    gone.cancel()
    await quietly(gone)
    commit.gate.set()
    assert await asyncio.gather(blocker, stays) == [None, None]
    assert commit.batches == [["first"], ["gone", "stays"]]


async def test_a_batch_that_fails_fails_each_of_its_waiters_and_no_other(
    group: GroupCommit[Op], commit: Commit
) -> None:
    commit.error = KeyError("a bug")
    tasks = await handed_over(group, ("a", T), ("b", T))
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [KeyError, KeyError]
    commit.error = None
    assert await group.run(Op("c"), T) is None


async def test_an_idle_writer_ends_without_a_batch(commit: Commit) -> None:
    made: GroupCommit[Op] = GroupCommit(commit, Background())
    await made.start()
    await turns()
    await asyncio.wait_for(made.stop(), 5)
    await made.stop()
    assert commit.batches == []


async def test_a_stop_decides_what_was_handed_over(commit: Commit) -> None:
    made: GroupCommit[Op] = GroupCommit(commit, Background())
    await made.start()
    commit.gate.clear()
    tasks = await handed_over(made, ("a", T))
    tasks += await handed_over(made, ("b", T), ("a", T))
    stopping = asyncio.create_task(made.stop())
    await turns()
    commit.gate.set()
    await stopping
    assert await asyncio.gather(*tasks) == [None, None, None]


async def test_a_stop_gives_up_a_store_that_is_away_and_notes_what_it_leaves(
    commit: Commit,
) -> None:
    background = Background()
    made: GroupCommit[Op] = GroupCommit(commit, background)
    await made.start()
    commit.gate.clear()
    (task,) = await handed_over(made, ("a", T))
    await asyncio.wait_for(made.stop(within_s=0.05), 5)
    assert background.left() == ["1 writes of records"]
    assert not task.done()
    task.cancel()
    await quietly(task)


async def test_a_writer_that_never_started_stops(commit: Commit) -> None:
    await GroupCommit(commit, Background()).stop()
