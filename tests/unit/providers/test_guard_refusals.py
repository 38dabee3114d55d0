"""Refusals that only this provider makes: when they count, and when somebody is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.waiting import until
from tests.unit.providers.guard_desk import (
    AUTHENTICATION,
    CLOSED,
    HALF_OPEN,
    OPEN,
    PROVIDER_FAULT,
    SMS,
    Harness,
    settled,
)
from worker.domain.messages.account import AccountHealth
from worker.domain.messages.message import Lane
from worker.domain.messages.outcome import (
    Accepted,
    AccountFault,
    Blame,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.providers.refusals import PERIOD_S


@pytest.fixture
def bench() -> Harness:
    return Harness()


NO_SENDER = NotSent(Blame.MESSAGE, "402", "InvalidSenderId")
NO_NUMBER = NotSent(Blame.RECIPIENT, "403", "InvalidPhoneNumber")
TOLD_SENDER = ("target", "402", "3 of 3 messages refused: 402 InvalidSenderId")


async def test_a_sender_id_refused_again_and_again_is_told_once_an_hour(bench: Harness) -> None:
    await bench.send(NO_SENDER, 2)
    assert bench.refusals == []
    await bench.send(NO_SENDER, 38)
    assert bench.refusals == [TOLD_SENDER]
    bench.clock.seconds += PERIOD_S
    await bench.send(NO_SENDER, 3)
    assert bench.refusals == [TOLD_SENDER] * 2
    assert (bench.guard.state, bench.reasons) == (CLOSED, [])


async def test_a_sender_id_is_told_however_small_its_share_is(bench: Harness) -> None:
    for _ in range(3):
        await bench.send(NO_SENDER)
        await bench.send(Accepted(), 200)
    assert [code for _, code, _ in bench.refusals] == ["402"]


async def test_single_wrong_numbers_are_usual_and_a_share_of_them_is_told(bench: Harness) -> None:
    for _ in range(12):
        await bench.send(NO_NUMBER)
        await bench.send(Accepted(), 30)
    assert bench.refusals == []
    await bench.send(NO_NUMBER, 40)
    assert [code for _, code, _ in bench.refusals] == ["403"]
    assert bench.guard.state is CLOSED


async def test_each_code_is_told_by_itself(bench: Harness) -> None:
    await bench.send(NO_SENDER, 5)
    await bench.send(NO_NUMBER, 20)
    assert [code for _, code, _ in bench.refusals] == ["402", "403"]


OTHERS = [Accepted(), Refused("406", "x", opted_out=True), PROVIDER_FAULT, Unknown("500", "x")]


@pytest.mark.parametrize("outcome", OTHERS)
async def test_other_outcomes_are_no_such_refusals(bench: Harness, outcome: Outcome) -> None:
    await bench.send(outcome, 4)
    assert bench.refusals == []


async def test_a_pause_asked_for_with_an_unknown_outcome_is_kept(bench: Harness) -> None:
    await bench.send(Unknown("http_503", "busy", slow_down_s=5.0))
    waiter = asyncio.create_task(bench.guard.permit(Lane.TRANSACTIONAL))
    await asyncio.sleep(0)
    assert not waiter.done()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_a_fault_of_the_account_is_told_once_and_stands_until_the_breaker_closes(
    bench: Harness,
) -> None:
    fault = NotSent(Blame.ACCOUNT, "405", "no balance", account_fault=AccountFault.BALANCE)
    await bench.send(fault)
    bench.clock.seconds += bench.guard.probe_due_in()
    await bench.send(fault)
    assert (bench.guard.fault, bench.faults) == ("balance: no balance", ["balance: no balance"])
    bench.clock.seconds += bench.guard.probe_due_in()
    await bench.send(Accepted())
    assert (bench.guard.fault, bench.faults) == ("", ["balance: no balance", None])


async def test_a_fault_is_told_to_who_asked_for_it_later(bench: Harness) -> None:
    told: list[str | None] = []
    bench.guard.on_fault(lambda _id, fault: told.append(fault))
    await bench.send(
        NotSent(Blame.ACCOUNT, "405", "no balance", account_fault=AccountFault.BALANCE)
    )
    assert told == bench.faults == ["balance: no balance"]


async def test_credentials_refused_and_confirmed_are_told(bench: Harness) -> None:
    bench.provider.health = AccountHealth(
        ok=False, reason="credentials refused", fault=AccountFault.AUTHENTICATION
    )
    await bench.send(AUTHENTICATION)
    await settled(bench.guard)
    assert bench.faults == ["authentication: credentials refused"]


async def test_one_account_call_at_a_time(bench: Harness) -> None:
    await bench.send(AUTHENTICATION, 3)
    await settled(bench.guard)
    assert bench.provider.checks == 1


async def test_closing_ends_the_account_call(bench: Harness) -> None:
    await bench.send(AUTHENTICATION)
    await bench.guard.close()
    await bench.guard.close()
    assert bench.guard._confirming is None


async def test_a_request_to_slow_down_pauses_the_limiter_and_is_no_failure(bench: Harness) -> None:
    await bench.send(NotSent(Blame.PROVIDER, "429", "slow", slow_down_s=5.0))
    waiter = asyncio.create_task(bench.guard.permit(Lane.TRANSACTIONAL))
    await asyncio.sleep(0)
    assert (waiter.done(), bench.guard.state) == (False, CLOSED)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_an_adapter_that_raises_is_unknown(bench: Harness) -> None:
    [outcome] = await bench.send(ValueError("secret text"))
    assert outcome == Unknown("adapter_error", "ValueError")


async def open_and_wait(bench: Harness) -> None:
    await bench.send(PROVIDER_FAULT, 5)
    bench.clock.seconds += bench.guard.probe_due_in()


async def test_one_probe_decides(bench: Harness) -> None:
    await open_and_wait(bench)
    probe = await bench.admitted()
    other = await bench.guard.permit(Lane.BULK)
    assert (other.admit(), bench.guard.passable(), bench.guard.state) == (False, False, HALF_OPEN)
    bench.provider.outcome = Accepted()
    await probe.send(SMS)
    assert bench.guard.state is CLOSED
    probe.release()
    other.release()


async def test_a_probe_that_is_never_sent_is_free_again(bench: Harness) -> None:
    await open_and_wait(bench)
    probe = await bench.admitted()
    probe.release()
    assert bench.guard.passable()


async def test_a_cancelled_probe_is_free_again_and_teaches_nothing(bench: Harness) -> None:
    await open_and_wait(bench)
    bench.provider.hold = asyncio.Event()
    call = asyncio.create_task(bench.once())
    await until(lambda: bench.provider.sent >= 6, 5)
    assert not bench.guard.passable()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (bench.guard.passable(), bench.guard.state) == (True, HALF_OPEN)
    assert bench.guard.limiter.taken == 0


async def test_calls_out_when_it_opens_neither_extend_nor_close_it(bench: Harness) -> None:
    bench.provider.hold = asyncio.Event()
    bench.provider.outcome = Accepted()
    late = asyncio.create_task(bench.once())
    await asyncio.sleep(0)
    bench.provider.hold, held = None, bench.provider.hold
    await bench.send(PROVIDER_FAULT, 5)
    due_at = bench.clock.seconds + bench.guard.probe_due_in()
    held.set()
    assert await late == Accepted()
    assert bench.guard.state is OPEN
    assert bench.clock.seconds + bench.guard.probe_due_in() == pytest.approx(due_at)


async def test_a_slot_sends_once_and_only_when_admitted(bench: Harness) -> None:
    permit = await bench.guard.permit(Lane.BULK)
    with pytest.raises(RuntimeError):
        await permit.send(SMS)
    assert permit.admit()
    await permit.send(SMS)
    with pytest.raises(RuntimeError):
        await permit.send(SMS)
    permit.release()
    assert bench.provider.sent == 1


async def test_releasing_twice_gives_one_place_back(bench: Harness) -> None:
    permit = await bench.guard.permit(Lane.BULK)
    permit.release()
    permit.release()
    assert bench.guard.limiter.taken == 0
    assert not permit.admit()


async def test_a_share_reaches_the_limiter(bench: Harness) -> None:
    bench.guard.share_between(4)
    assert bench.guard.limiter.limit == 1


async def test_an_administrator_closes_the_breaker(bench: Harness) -> None:
    await bench.send(PROVIDER_FAULT, 5)
    bench.guard.reset("asked for")
    assert (bench.guard.state, bench.reasons[-1]) == (CLOSED, "asked for")
