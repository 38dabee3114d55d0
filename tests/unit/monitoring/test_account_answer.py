"""The answer of the account call, for commands and for who only looks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from tests.support.fakes import HandClock, snapshot
from worker.domain.messages.account import AccountHealth
from worker.monitoring.account_answer import KEPT_S, AccountAnswer
from worker.monitoring.measures import Measuring

if TYPE_CHECKING:
    from worker.ports.providers import Provider

PROMPT_S, SOON_S = 30.0, 0.01


class Target:
    """An account that answers when the test lets it."""

    id = "africastalking"
    gives_reports = True

    def __init__(self) -> None:
        self.calls = 0
        self.lets = asyncio.Event()
        self.lets.set()

    async def check(self) -> AccountHealth:
        self.calls += 1
        await self.lets.wait()
        return AccountHealth(ok=True, reason=f"answer {self.calls}")


def answer(target: Target, clock: HandClock) -> AccountAnswer:
    return AccountAnswer(cast("Provider", target), clock)


async def test_who_looks_again_soon_gets_the_same_answer() -> None:
    target, clock = Target(), HandClock()
    made = answer(target, clock)
    first = await made.lately(PROMPT_S)
    clock.advance(KEPT_S)
    assert await made.lately(PROMPT_S) == first
    clock.advance(0.1)
    assert (await made.lately(PROMPT_S)).reason == "answer 2"


async def test_who_decides_asks_anew_and_who_looks_then_sees_that_answer() -> None:
    target, clock = Target(), HandClock()
    made = answer(target, clock)
    await made.lately(PROMPT_S)
    assert (await made.now()).reason == "answer 2"
    assert (await made.lately(PROMPT_S)).reason == "answer 2"


async def test_many_who_look_at_once_ask_once() -> None:
    target, clock = Target(), HandClock()
    made = answer(target, clock)
    found = await asyncio.gather(*(made.lately(PROMPT_S) for _ in range(9)))
    assert ({each.reason for each in found}, target.calls) == ({"answer 1"}, 1)


async def test_a_late_answer_is_not_waited_for_and_is_there_for_who_looks_next() -> None:
    target, clock = Target(), HandClock()
    made = answer(target, clock)
    target.lets.clear()
    for _ in range(2):
        late = await made.lately(SOON_S)
        assert (late.ok, late.reason) == (False, "asked, no answer yet")
    target.lets.set()
    assert (await made.lately(PROMPT_S)).ok
    assert target.calls == 1


async def test_at_a_share_of_0_a_command_asks_the_account_and_a_look_may_not() -> None:
    target, clock, state = Target(), HandClock(), snapshot(0)
    measuring = Measuring(
        cast("Any", None), cast("Provider", target), cast("Provider", target), clock,
        cast("Any", None),
    )  # fmt: skip
    for _ in range(3):
        assert (await measuring.for_a_look(state, PROMPT_S)).account_ok
    assert target.calls == 1
    assert (await measuring.since_change(state)).account_reason == "answer 2"
