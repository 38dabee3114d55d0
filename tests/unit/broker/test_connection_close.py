"""Closing a broker connection ends in time, and never hides that the task itself was cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from tests.support.virtual_time import run
from worker.broker.connection import close

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aio_pika.abc import AbstractConnection


class Closing:
    """A connection, as far as it is closed."""

    def __init__(self, way: Callable[[], Awaitable[None]]) -> None:
        self.close = way


def closing(way: Callable[[], Awaitable[None]]) -> AbstractConnection:
    return cast("AbstractConnection", Closing(way))


async def for_ever() -> None:
    await asyncio.Event().wait()


async def of_a_dead_channel() -> None:
    """Awaits a future that the library cancels."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


def test_one_that_hangs_is_given_up() -> None:
    assert isinstance(run(close(closing(for_ever))), TimeoutError)


def test_a_future_cancelled_by_the_library_is_no_cancellation_of_ours() -> None:
    assert isinstance(run(close(closing(of_a_dead_channel))), asyncio.CancelledError)


def test_a_cancellation_of_the_task_is_one() -> None:
    async def cancelled() -> None:
        task = asyncio.ensure_future(close(closing(for_ever)))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run(cancelled())
