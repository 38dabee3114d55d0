"""Places, rate, lanes and the replica's share."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cost import ratio
from tests.support.virtual_time import LoopClock, run
from worker.domain.messages.message import Lane
from worker.providers.limiter import LONGEST_PAUSE_S, RISE_AFTER_S, Limiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class HandClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


PLENTY = 1e6


def limiter(places: int, rate: float = PLENTY, clock: HandClock | None = None) -> Limiter:
    return Limiter(places, rate, clock or HandClock())


async def turn() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def waiting(*acquires: tuple[Limiter, Lane]) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = []
    for limited, lane in acquires:
        tasks.append(asyncio.create_task(limited.acquire(lane)))
        await turn()
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def fill(limited: Limiter, lane: Lane = Lane.TRANSACTIONAL) -> int:
    """Take places until none is free at once; returns how many."""
    taken = 0
    while True:
        async with waiting((limited, lane)) as tasks:
            if not tasks[0].done():
                return taken
            taken += 1


async def test_as_many_calls_as_there_are_places() -> None:
    assert await fill(limiter(8)) == 8


async def test_bulk_leaves_a_quarter_of_the_places_free() -> None:
    limited = limiter(8)
    assert await fill(limited, Lane.BULK) == 6
    assert await fill(limited) == 2


@pytest.mark.parametrize(("places", "bulk"), [(1, 1), (2, 1), (3, 2), (4, 3), (64, 48)])
async def test_at_least_one_place_is_kept_where_there_are_two(places: int, bulk: int) -> None:
    assert await fill(limiter(places), Lane.BULK) == bulk


async def test_transactional_waiters_go_first() -> None:
    limited = limiter(4)
    await fill(limited)
    async with waiting((limited, Lane.BULK), (limited, Lane.TRANSACTIONAL)) as (bulk, urgent):
        for _ in range(2):
            limited.release()
        await turn()
        assert (urgent.done(), bulk.done()) == (True, False)
        limited.release()
        await turn()
        assert bulk.done()


async def test_within_a_lane_first_come_is_first_served() -> None:
    limited = limiter(1)
    await fill(limited)
    async with waiting(*[(limited, Lane.TRANSACTIONAL)] * 3) as tasks:
        for served in (1, 2, 3):
            limited.release()
            await turn()
            assert [task.done() for task in tasks] == [True] * served + [False] * (3 - served)


async def test_a_newcomer_does_not_overtake_a_waiter() -> None:
    limited = limiter(1)
    await fill(limited)
    async with waiting((limited, Lane.TRANSACTIONAL)) as (first,):
        limited.release()
        async with waiting((limited, Lane.TRANSACTIONAL)) as (second,):
            assert (first.done(), second.done()) == (True, False)


async def test_a_cancelled_waiter_takes_no_place() -> None:
    limited = limiter(1)
    await fill(limited)
    async with waiting(*[(limited, Lane.TRANSACTIONAL)] * 2) as (first, second):
        first.cancel()
        await turn()
        limited.release()
        await turn()
        assert second.done()
        assert limited.taken == 1


async def test_a_waiter_cancelled_as_it_is_served_gives_the_place_on() -> None:
    limited = limiter(1)
    await fill(limited)
    async with waiting(*[(limited, Lane.TRANSACTIONAL)] * 2) as (first, second):
        limited.release()
        first.cancel()
        await turn()
        assert (first.cancelled(), second.done(), limited.taken) == (True, True, 1)


async def test_a_cancelled_transactional_waiter_no_longer_holds_bulk_back() -> None:
    limited = limiter(4)
    await fill(limited)
    for _ in range(2):
        limited.release()
    async with waiting((limited, Lane.BULK)) as (bulk,):
        assert bulk.done()
    limited.slow_down(1)
    async with waiting((limited, Lane.TRANSACTIONAL), (limited, Lane.BULK)) as (urgent, bulk):
        urgent.cancel()
        limited._clock.seconds += 1
        limited.release()
        limited.release()
        await turn()
        assert bulk.done()


async def test_the_rate_is_kept() -> None:
    clock = HandClock()
    limited = limiter(1000, 80, clock)
    assert await fill(limited) == 8
    clock.seconds += 0.0625
    assert await fill(limited) == 5
    clock.seconds += 100
    assert await fill(limited) == 8


async def test_a_place_given_back_unused_is_not_charged_to_the_rate() -> None:
    limited = limiter(1000, 100)
    await fill(limited)
    limited.release(unused=True)
    assert await fill(limited) == 1


def test_waiting_for_the_rate_takes_as_long_as_the_rate_says() -> None:
    async def scenario() -> None:
        limited = Limiter(1000, 100, LoopClock())
        await asyncio.gather(*(limited.acquire(Lane.BULK) for _ in range(30)))
        assert 0.18 <= LoopClock().monotonic() <= 0.3

    run(scenario())


def test_slow_down_pauses_everybody_and_ends_by_itself() -> None:
    async def scenario() -> None:
        limited = Limiter(10, PLENTY, LoopClock())
        limited.slow_down(0.05)
        await limited.acquire(Lane.TRANSACTIONAL)
        assert 0.05 <= LoopClock().monotonic() <= 0.06

    run(scenario())


async def test_a_pause_is_never_longer_than_a_minute() -> None:
    clock = HandClock()
    limited = limiter(10, PLENTY, clock)
    limited.slow_down(86_400)
    assert await fill(limited) == 0
    clock.seconds += LONGEST_PAUSE_S
    assert await fill(limited) == 10


async def test_the_share_falls_at_once() -> None:
    limited = limiter(8)
    limited.share_between(4)
    assert await fill(limited) == 2


async def test_the_share_rises_after_five_seconds() -> None:
    clock = HandClock()
    limited = limiter(8, PLENTY, clock)
    limited.share_between(4)
    limited.share_between(2)
    clock.seconds += RISE_AFTER_S - 0.1
    assert await fill(limited) == 2
    clock.seconds += 0.1
    assert await fill(limited) == 2
    assert limited.limit == 4


async def test_a_fall_in_between_takes_the_rise_back() -> None:
    clock = HandClock()
    limited = limiter(8, PLENTY, clock)
    limited.share_between(4)
    limited.share_between(1)
    clock.seconds += 3
    limited.share_between(4)
    clock.seconds += 3
    assert await fill(limited) == 2


async def test_the_smallest_rise_of_the_five_seconds_counts() -> None:
    clock = HandClock()
    limited = limiter(8, PLENTY, clock)
    limited.share_between(8)
    for replicas in (1, 4, 1):
        limited.share_between(replicas)
        clock.seconds += 2
    assert await fill(limited) == 2


async def test_every_replica_has_a_place() -> None:
    limited = limiter(2)
    limited.share_between(50)
    assert await fill(limited) == 1


async def test_a_smaller_share_does_not_take_places_back() -> None:
    limited = limiter(8)
    await fill(limited)
    limited.share_between(4)
    async with waiting((limited, Lane.TRANSACTIONAL)) as (task,):
        for _ in range(6):
            limited.release()
        await turn()
        assert not task.done()
        limited.release()
        await turn()
        assert task.done()


async def test_waiters_of_one_limiter_do_not_touch_another() -> None:
    slow, fast = limiter(1), limiter(1)
    await fill(slow)
    async with waiting(*[(slow, Lane.TRANSACTIONAL)] * 5):
        assert await fill(fast) == 1


# --- nobody waits long ------------------------------------------------------------------------


async def test_a_place_that_is_not_free_at_once_is_not_taken_at_once() -> None:
    limited = limiter(1)
    assert limited.take(Lane.TRANSACTIONAL)
    assert not limited.take(Lane.TRANSACTIONAL)
    limited.release()
    async with waiting((limited, Lane.BULK)):
        assert not limited.take(Lane.BULK)


async def test_who_gives_up_takes_no_place_and_holds_nobody_back() -> None:
    limited = limiter(1)
    await fill(limited)
    with pytest.raises(TimeoutError):
        await limited.acquire(Lane.TRANSACTIONAL, 0.01)
    assert (limited.taken, limited.waiting) == (1, 0)
    async with waiting((limited, Lane.BULK)) as (bulk,):
        limited.release()
        await turn()
        assert bulk.done()


async def test_who_is_served_in_time_does_not_give_up() -> None:
    limited = limiter(1)
    await fill(limited)
    served = asyncio.create_task(limited.acquire(Lane.TRANSACTIONAL, 60))
    await turn()
    limited.release()
    await served
    assert limited.taken == 1


@pytest.mark.parametrize(("lane", "most"), [(Lane.TRANSACTIONAL, 6), (Lane.BULK, 3)])
async def test_calls_take_at_most_three_in_four_of_what_a_lane_has_in_hand(
    lane: Lane, most: int
) -> None:
    in_hand = {Lane.TRANSACTIONAL: 8, Lane.BULK: 4}
    limited = Limiter(100, PLENTY, HandClock(), in_hand)
    assert await fill(limited, lane) == most


@pytest.mark.parametrize(("in_hand", "most"), [(1, 1), (2, 1), (3, 2), (4, 3), (96, 72)])
async def test_of_more_than_one_message_in_hand_one_at_least_is_left(
    in_hand: int, most: int
) -> None:
    limited = Limiter(100, PLENTY, HandClock(), dict.fromkeys(Lane, in_hand))
    assert await fill(limited) == most


async def test_a_lane_at_its_bound_leaves_places_to_the_other() -> None:
    limited = Limiter(100, PLENTY, HandClock(), dict.fromkeys(Lane, 8))
    await fill(limited, Lane.BULK)
    assert await fill(limited) == 6
    limited.release(Lane.BULK)
    assert limited.take(Lane.BULK)


def ten_seconds() -> float:
    return 10.0


async def test_where_a_place_is_free_no_wait_is_expected() -> None:
    limited = limiter(2)
    assert limited.take(Lane.TRANSACTIONAL)
    assert limited.wait_s(Lane.TRANSACTIONAL, ten_seconds) == 0


async def test_the_expected_wait_grows_with_the_waiters_and_the_age_of_the_calls() -> None:
    limited = limiter(4)
    await fill(limited)
    assert limited.wait_s(Lane.TRANSACTIONAL, ten_seconds) == pytest.approx(10 / 4)
    async with waiting(*[(limited, Lane.TRANSACTIONAL)] * 3):
        assert limited.wait_s(Lane.TRANSACTIONAL, ten_seconds) == pytest.approx(4 * 10 / 4)
        assert limited.wait_s(Lane.TRANSACTIONAL, lambda: 0.1) == pytest.approx(0.1)


async def test_bulk_waits_behind_transactional_and_for_fewer_places() -> None:
    limited = limiter(4)
    await fill(limited)
    async with waiting((limited, Lane.TRANSACTIONAL)):
        urgent = limited.wait_s(Lane.TRANSACTIONAL, ten_seconds)
        assert limited.wait_s(Lane.BULK, ten_seconds) > urgent


async def test_a_pause_is_waited_for() -> None:
    limited = limiter(4)
    limited.slow_down(7)
    assert limited.wait_s(Lane.TRANSACTIONAL, ten_seconds) == pytest.approx(7)


async def test_the_rate_is_waited_for() -> None:
    limited = limiter(1000, 10)
    await fill(limited)
    async with waiting(*[(limited, Lane.TRANSACTIONAL)] * 5):
        assert limited.wait_s(Lane.TRANSACTIONAL, ten_seconds) == pytest.approx(0.6)


actions = st.lists(st.tuples(st.sampled_from(["T", "B", "cancel", "release"]), st.integers(0, 9)))


@given(actions, st.integers(1, 6))
@settings(max_examples=60)
def test_places_are_never_lost_nor_invented(plan: list[tuple[str, int]], places: int) -> None:
    async def scenario() -> None:
        limited = limiter(places)
        tasks: list[asyncio.Task[None]] = []
        held = 0
        for what, number in plan:
            if what in "TB":
                lane = Lane.TRANSACTIONAL if what == "T" else Lane.BULK
                tasks.append(asyncio.create_task(limited.acquire(lane)))
            elif what == "cancel" and tasks:
                tasks[number % len(tasks)].cancel()
            elif what == "release" and held:
                limited.release()
                held -= 1
            if number % 2:
                await turn()
            done = [task for task in tasks if task.done()]
            held += sum(not task.cancelled() for task in done)
            tasks = [task for task in tasks if task not in done]
            assert limited.taken <= places
        await turn()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        held += sum(result is None for result in ended)
        assert limited.taken == held
        for _ in range(held):
            limited.release()
        assert await fill(limited) == places

    asyncio.run(scenario())


def test_an_uncontended_place_costs_little_more_than_a_semaphore() -> None:
    async def places() -> None:
        limited = Limiter(64, PLENTY * 100, RealClock())
        for _ in range(2000):
            await limited.acquire(Lane.TRANSACTIONAL)
            limited.release()

    async def semaphore() -> None:
        plain = asyncio.Semaphore(64)
        for _ in range(2000):
            await plain.acquire()
            plain.release()

    assert ratio(lambda: asyncio.run(places()), lambda: asyncio.run(semaphore())) < 50
