"""Nobody waits long at a provider: it is busy, and callers give up."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.unit.providers.guard_desk import CLOSED, SMS, Harness
from worker.domain.messages.message import Lane
from worker.domain.messages.outcome import Blame, NotSent
from worker.providers.guard import ASK_AGAIN_S, ProviderPermit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def bench() -> Harness:
    return Harness()


T, B = Lane.TRANSACTIONAL, Lane.BULK


async def permits_taken(bench: Harness, count: int) -> list[ProviderPermit]:
    """Slots whose intents are being written: not called yet."""
    permits = [bench.guard.permit_now(T) for _ in range(count)]
    return [permit for permit in permits if permit is not None]


@asynccontextmanager
async def calls_that_hang(bench: Harness, count: int) -> AsyncIterator[list[ProviderPermit]]:
    bench.provider.hold = asyncio.Event()
    permits = await permits_taken(bench, count)
    assert all(permit.admit() for permit in permits)
    calls = [asyncio.create_task(permit.send(SMS)) for permit in permits]
    while bench.provider.sent < len(permits):
        await asyncio.sleep(0)
    yield permits
    bench.provider.hold.set()
    await asyncio.gather(*calls)


async def test_a_provider_at_rest_is_not_busy(bench: Harness) -> None:
    assert (bench.guard.busy_for(T), bench.guard.busy_for(B)) == (0.0, 0.0)


async def test_a_provider_whose_calls_do_not_come_back_is_busy(bench: Harness) -> None:
    async with calls_that_hang(bench, 9) as permits:
        assert len(permits) == 4
        assert bench.guard.busy_for(T) == 0.0  # nobody knows yet
        bench.clock.seconds += 3
        assert bench.guard.busy_for(T) == pytest.approx(6 / 4)
        permits[0].release()
        assert bench.guard.busy_for(T) == 0.0


async def test_a_store_that_does_not_answer_makes_no_provider_busy(bench: Harness) -> None:
    assert len(await permits_taken(bench, 9)) == 4
    bench.clock.seconds += 30
    assert bench.guard.busy_for(T) == 0.0


async def test_a_backlog_at_a_quick_provider_does_not_make_it_busy() -> None:
    bench = Harness(max_in_flight=16)
    async with calls_that_hang(bench, 16):
        bench.clock.seconds += 0.1
        waiters = [asyncio.create_task(bench.guard.permit(T)) for _ in range(60)]
        await asyncio.sleep(0)
        assert bench.guard.busy_for(T) == 0.0
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)


@pytest.mark.parametrize(("pause_s", "busy_s"), [(0.9, 0.0), (3.0, 3.0), (60.0, ASK_AGAIN_S)])
async def test_a_provider_that_asked_for_a_long_pause_is_busy(
    bench: Harness, pause_s: float, busy_s: float
) -> None:
    await bench.send(NotSent(Blame.PROVIDER, "429", "slow down", slow_down_s=pause_s))
    assert bench.guard.busy_for(T) == pytest.approx(busy_s)
    assert bench.guard.state is CLOSED


async def test_who_waits_at_a_provider_that_hangs_gives_up(
    bench: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.providers.guard.GIVE_UP_S", 0.01)
    async with calls_that_hang(bench, 4):
        assert bench.guard.permit_now(T) is None
        assert await bench.guard.permit(T) is None
        assert bench.guard.limiter.taken == 4


async def test_who_waits_because_of_the_store_goes_on_waiting(
    bench: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.providers.guard.GIVE_UP_S", 0.01)
    taken = await permits_taken(bench, 4)
    waiter = asyncio.create_task(bench.guard.permit(T))
    ended, _ = await asyncio.wait([waiter], timeout=0.1)
    assert not ended
    taken[0].release()
    assert await waiter is not None


async def test_bulk_is_told_of_waiting_before_transactional_is(bench: Harness) -> None:
    async with calls_that_hang(bench, 3):
        bench.clock.seconds += 3
        assert bench.guard.busy_for(T) == 0.0
        assert bench.guard.busy_for(B) > 0.0


async def test_a_call_that_came_back_no_longer_counts(bench: Harness) -> None:
    async with calls_that_hang(bench, 1):
        assert len(bench.guard.calls) == 1
    assert bench.guard.calls == {}
