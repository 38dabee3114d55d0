"""The tests' own waiting for facts, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.virtual_time import run
from tests.support.waiting import until, until_equal


def test_a_fact_that_holds_is_not_waited_for_and_is_returned() -> None:
    async def scenario() -> tuple[object, float]:
        return await until(lambda: "so"), asyncio.get_running_loop().time()

    found, took_s = run(scenario())
    assert found == "so"
    assert took_s < 0.001


@pytest.mark.parametrize("holds_at", [0.01, 0.5, 15.0])
def test_what_holds_soon_is_seen_soon_and_what_holds_late_is_not_asked_for_without_end(
    holds_at: float,
) -> None:
    looks = 0

    async def scenario() -> float:
        clock = asyncio.get_running_loop().time

        async def fact() -> bool:
            nonlocal looks
            looks += 1
            return clock() >= holds_at

        await until(fact)
        return clock()

    assert run(scenario()) <= holds_at * 1.1 + 0.001
    assert looks < 50 + 25 * holds_at


def test_what_never_holds_is_told_with_its_reason() -> None:
    async def reason() -> str:
        return "the story"

    async def scenario() -> None:
        await until(lambda: False, 60, reason)

    with pytest.raises(AssertionError, match="not so after 60 s: the story"):
        run(scenario())


def test_a_look_that_never_ends_is_given_up() -> None:
    async def scenario() -> None:
        await until(asyncio.Event().wait, 60)

    with pytest.raises(AssertionError, match="not so after 60 s"):
        run(scenario())


@pytest.mark.parametrize("error", [TimeoutError("its own"), KeyError("a bug")])
def test_an_error_of_the_fact_is_its_own(error: Exception) -> None:
    async def fact() -> bool:
        raise error

    with pytest.raises(type(error)) as raised:
        run(until(fact))
    assert raised.value is error


def test_what_is_not_as_expected_is_told_as_it_was_at_last() -> None:
    with pytest.raises(AssertionError, match="expected 3, found 2 at last"):
        run(until_equal(lambda: 2, 3))


def test_what_is_expected_may_be_false() -> None:
    left = [2, 1, 0]

    async def count() -> int:
        return left.pop(0)

    run(until_equal(count, 0))
    assert left == []
