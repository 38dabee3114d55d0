"""What the AMQP library raises bare is a lost connection; everything else stays what it is."""

from __future__ import annotations

import asyncio

import pytest
from aiormq.base import FutureStore

from worker.broker.connection import LOST, naming_losses


def test_an_exception_of_no_class_of_its_own_is_a_loss() -> None:
    with pytest.raises(LOST), naming_losses():
        raise Exception  # noqa: TRY002 - as the library does


@pytest.mark.parametrize("error", [ValueError("ours"), TimeoutError(), KeyError("x")])
def test_every_other_error_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, naming_losses():
        raise error
    assert raised.value is error


async def test_the_library_does_raise_it_where_a_channel_closed_without_a_reason() -> None:
    store = FutureStore(asyncio.get_running_loop())
    waiting = store.create_future()
    await store.reject_all(None)
    with pytest.raises(LOST), naming_losses():
        await waiting
