"""Events that were never confirmed, and the loops of the sweeper."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.integration.due_desk import EVENT, LEASE_S, TAKEN, Desk, desk, left
from tests.support.fakes import BULK
from tests.support.waiting import until, until_equal
from worker.domain.messages.message import State
from worker.handlers.sweep import CONFIRM_LATER_S
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    import pytest

    from worker.ports.broker import Event

__all__ = ["desk"]  # a fixture


# --- events ------------------------------------------------------------------------------------


async def test_what_was_never_confirmed_is_published_again(desk: Desk) -> None:
    held = await desk.claim()
    await desk.settle(held, TAKEN, State.ACCEPTED, "sms.sent", "sms.other")
    await desk.sweeper.sweep()
    assert desk.publisher.names == []  # its publisher may still be at it
    desk.messages.confirmed("m-1", (replace(EVENT, event_id="m-1-sms.other"),))
    desk.later(seconds=CONFIRM_LATER_S + 1)
    await left(desk, 1)
    await desk.sweeper.sweep()
    assert [event.id for event in desk.publisher.events] == ["m-1-sms.sent"]
    await left(desk, 0)
    await desk.sweeper.sweep()
    assert len(desk.publisher.events) == 1


async def test_while_the_broker_takes_nothing_and_soon_after_nothing_is_announced_again(
    desk: Desk,
) -> None:
    await desk.settle(await desk.claim(), TAKEN, State.ACCEPTED, "sms.sent")
    desk.later(seconds=CONFIRM_LATER_S + 1)
    desk.sweeper.broker_blocked(blocked=True)
    await desk.sweeper.sweep()
    desk.sweeper.broker_blocked(blocked=False)
    await desk.sweeper.sweep()
    assert desk.publisher.names == []
    desk.later(seconds=CONFIRM_LATER_S + 1)
    await desk.sweeper.sweep()
    assert desk.publisher.names == ["sms.sent"]


async def test_a_list_that_grew_old_over_one_slow_event_is_read_anew_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ident in ("m-1", "m-2"):
        await desk.settle(await desk.claim(ident), TAKEN, State.ACCEPTED, "sms.sent")
    desk.later(seconds=CONFIRM_LATER_S + 1)
    publish = desk.publisher.event

    async def slowly(event: Event) -> None:
        desk.later(seconds=60)
        await publish(event)

    monkeypatch.setattr(desk.publisher, "event", slowly)
    await desk.sweeper.sweep()
    await desk.sweeper.sweep()
    assert desk.publisher.names == ["sms.sent"]


# --- the loops ---------------------------------------------------------------------------------


async def test_a_started_sweeper_sweeps_by_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.sweep.EVERY_S", 0.01)
    await desk.claim(**BULK)
    await desk.lease_died_ago(1)
    await desk.sweeper.start()  # leases are left alone for the time of one: holders may be late
    assert desk.sweeper._judge_leases_from > desk.clock.monotonic() + LEASE_S - 1
    desk.sweeper._judge_leases_from = desk.clock.monotonic()  # the lease is over
    await until_equal(lambda: desk.publisher.names, ["sms.unknown"], 10)
    await desk.sweeper.drain()
    await desk.sweeper.stop()
    await desk.sweeper.stop()
    await desk.background.stop()


async def test_a_store_that_is_away_is_swept_when_it_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.handlers.sweep.EVERY_S", 0.01)
    times = 0

    async def away() -> None:
        nonlocal times
        times += 1
        raise StoreUnavailable("test")

    monkeypatch.setattr(desk.sweeper, "sweep", away)
    await desk.sweeper.start()
    await until(lambda: times >= 3, 10)
    assert desk.sweeper._judge_leases_from > desk.clock.monotonic()
    await desk.sweeper.stop()
