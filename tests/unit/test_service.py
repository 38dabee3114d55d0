"""Background tasks: kept alive, and their death told."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.support.fakes import quietly
from worker.service import Background, every


async def fail(error: Exception) -> None:
    raise error


async def forever() -> None:
    await asyncio.Event().wait()


async def test_the_first_failure_is_told_with_the_name_of_its_task() -> None:
    background = Background()
    background.spawn(fail(KeyError("one")), "first")
    await asyncio.sleep(0)
    background.spawn(fail(KeyError("two")), "second")
    error = await background.failed()
    assert error.args == ("one",)
    assert error.__notes__ == ["background task 'first' died"]
    await background.stop()


async def test_several_may_wait_for_the_failure() -> None:
    background = Background()
    waits = [asyncio.create_task(background.failed()) for _ in range(2)]
    await asyncio.sleep(0)
    waits[0].cancel()  # a waiter that gives up takes nothing from the other
    background.spawn(fail(ValueError("x")), "task")
    assert isinstance(await waits[1], ValueError)
    await quietly(waits[0])


async def test_an_orderly_end_and_a_cancel_are_no_failures() -> None:
    background = Background()
    ended = background.spawn(asyncio.sleep(0), "ends")
    cancelled = background.spawn(forever(), "cancelled")
    await ended
    cancelled.cancel()
    await quietly(cancelled)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(background.failed(), 0.01)


async def test_stop_ends_what_runs_and_may_be_called_again() -> None:
    background = Background()
    task = background.spawn(forever(), "long")
    await background.stop()
    assert task.cancelled()
    await background.stop()


async def test_what_is_done_every_so_often_is_done_once_more_at_the_end() -> None:
    stopping, ticks = asyncio.Event(), 0

    async def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 3:
            stopping.set()

    await asyncio.wait_for(every(0, tick, stopping), 5)
    assert ticks == 4
    await asyncio.wait_for(every(60, tick, stopping), 5)
    assert ticks == 5


async def test_a_task_nobody_refers_to_lives_on() -> None:
    background, done = Background(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()
        done.set()

    background.spawn(work(), "forgotten")
    gc.collect()
    await asyncio.wait_for(done.wait(), 5)
