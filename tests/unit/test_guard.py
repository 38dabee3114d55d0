"""What an outcome teaches the breaker and the limiter, and what a slot may do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from worker.domain.message import Lane
from worker.domain.outcome import (
    Accepted,
    AccountFault,
    Blame,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.ports import AccountHealth, BreakerState, Sms
from worker.providers.breaker import Mark
from worker.providers.guard import ProviderGuard, ProviderSlot, mark_of
from worker.settings import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.delivery import OptOut, Report

SMS = Sms("m-1", 1, "+260977123456", "Hello", None, 60.0)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class HandClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class Scripted:
    """A provider that answers as told."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.outcome: Outcome | Exception = Accepted()
        self.health = AccountHealth(ok=True, reason="in order")
        self.takes_s = 0.1
        self.sent = 0
        self.checks = 0
        self.hold: asyncio.Event | None = None

    @property
    def id(self) -> str:
        return "target"

    async def send(self, _sms: Sms) -> Outcome:
        self.sent += 1
        outcome = self.outcome
        if self.hold:
            await self.hold.wait()
        self.clock.seconds += self.takes_s
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def check(self) -> AccountHealth:
        self.checks += 1
        return self.health

    def read_report(self, kind: str, fields: Mapping[str, str]) -> Report | OptOut:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class Bench:
    """A guard over a scripted provider."""

    def __init__(self, **settings: object) -> None:
        self.clock = HandClock()
        self.provider = Scripted(self.clock)
        self.reasons: list[str] = []
        self.faults: list[str | None] = []
        values = {"id": "target", "kind": "http", "preset": "kannel", "base_url": "http://h"}
        self.guard = ProviderGuard(
            self.provider,
            ProviderSettings.model_validate(values | {"max_in_flight": 4} | settings),
            self.clock,
            lambda _id, _old, _new, reason: self.reasons.append(reason),
            lambda _id, fault: self.faults.append(fault),
        )

    async def send(self, outcome: Outcome | Exception, count: int = 1) -> list[Outcome]:
        self.provider.outcome = outcome
        return [await self.once() for _ in range(count)]

    async def once(self) -> Outcome:
        slot = await self.admitted()
        try:
            outcome, _ = await slot.send(SMS)
        finally:
            slot.release()
        return outcome

    async def admitted(self) -> ProviderSlot:
        slot = await self.guard.slot(Lane.TRANSACTIONAL)
        assert slot.admit()
        return slot


@pytest.fixture
def bench() -> Bench:
    return Bench()


PROVIDER_FAULT = NotSent(Blame.PROVIDER, "503", "unavailable")
ACCOUNT_FAULT = NotSent(Blame.ACCOUNT, "x", "account")
MARKS = [
    (Accepted(), Mark.SUCCESS),
    (Refused("403", "bad number"), Mark.IGNORED),
    (NotSent(Blame.RECIPIENT, "404", "no route"), Mark.IGNORED),
    (NotSent(Blame.PROVIDER, "429", "slow down", slow_down_s=1.0), Mark.IGNORED),
    (PROVIDER_FAULT, Mark.FAILURE),
    (ACCOUNT_FAULT, Mark.FAILURE),
    (Unknown("read_timeout", "silence"), Mark.FAILURE),
]


@pytest.mark.parametrize(("outcome", "mark"), MARKS)
def test_each_outcome_says_what_the_table_says(outcome: Outcome, mark: Mark) -> None:
    assert mark_of(outcome) is mark


async def test_the_outcome_that_opens_the_breaker_is_returned_as_it_is(bench: Bench) -> None:
    failure = Unknown("read_timeout", "silence")
    assert await bench.send(failure, 5) == [failure] * 5
    assert bench.guard.state is OPEN


async def test_the_breaker_knows_the_outcome_before_send_returns(bench: Bench) -> None:
    await bench.send(PROVIDER_FAULT, 4)
    slot = await bench.admitted()
    await slot.send(SMS)
    assert bench.guard.state is OPEN
    slot.release()


async def test_the_duration_is_given_in_milliseconds(bench: Bench) -> None:
    slot = await bench.admitted()
    _, duration_ms = await slot.send(SMS)
    slot.release()
    assert duration_ms == pytest.approx(100)


async def test_slow_calls_count_as_slow(bench: Bench) -> None:
    bench.provider.takes_s = 6
    await bench.send(Accepted(), 20)
    assert bench.reasons == ["20 of the last 20 calls were slow"]


@pytest.mark.parametrize("fault", [AccountFault.BALANCE, AccountFault.SENDER])
async def test_a_fault_of_the_account_opens_at_once(bench: Bench, fault: AccountFault) -> None:
    await bench.send(NotSent(Blame.ACCOUNT, "x", "account", account_fault=fault))
    assert (bench.guard.state, bench.reasons) == (OPEN, [f"{fault}: account"])


async def settled(guard: ProviderGuard) -> None:
    async with asyncio.timeout(5):
        task = guard._confirming
        assert task is not None
        await task


AUTHENTICATION = NotSent(Blame.ACCOUNT, "401", "refused", account_fault=AccountFault.AUTHENTICATION)


async def test_refused_credentials_open_once_the_account_call_confirms_them(
    bench: Bench,
) -> None:
    bench.provider.health = AccountHealth(
        ok=False, reason="credentials refused", fault=AccountFault.AUTHENTICATION
    )
    await bench.send(AUTHENTICATION)
    await settled(bench.guard)
    assert (bench.guard.state, bench.provider.checks) == (OPEN, 1)
    assert bench.reasons == ["authentication: credentials refused"]


async def test_refused_credentials_that_are_not_confirmed_are_a_failure_like_others(
    bench: Bench,
) -> None:
    await bench.send(AUTHENTICATION)
    await settled(bench.guard)
    assert bench.guard.state is CLOSED
    await bench.send(AUTHENTICATION, 4)
    assert bench.guard.state is OPEN


async def test_a_fault_of_the_account_is_told_once_and_stands_until_the_breaker_closes(
    bench: Bench,
) -> None:
    fault = NotSent(Blame.ACCOUNT, "405", "no balance", account_fault=AccountFault.BALANCE)
    await bench.send(fault)
    bench.clock.seconds += bench.guard.probe_due_in()
    await bench.send(fault)
    assert (bench.guard.fault, bench.faults) == ("balance: no balance", ["balance: no balance"])
    bench.clock.seconds += bench.guard.probe_due_in()
    await bench.send(Accepted())
    assert (bench.guard.fault, bench.faults) == ("", ["balance: no balance", None])


async def test_a_fault_is_told_to_who_asked_for_it_later(bench: Bench) -> None:
    told: list[str | None] = []
    bench.guard.on_fault(lambda _id, fault: told.append(fault))
    await bench.send(
        NotSent(Blame.ACCOUNT, "405", "no balance", account_fault=AccountFault.BALANCE)
    )
    assert told == bench.faults == ["balance: no balance"]


async def test_credentials_refused_and_confirmed_are_told(bench: Bench) -> None:
    bench.provider.health = AccountHealth(
        ok=False, reason="credentials refused", fault=AccountFault.AUTHENTICATION
    )
    await bench.send(AUTHENTICATION)
    await settled(bench.guard)
    assert bench.faults == ["authentication: credentials refused"]


async def test_one_account_call_at_a_time(bench: Bench) -> None:
    await bench.send(AUTHENTICATION, 3)
    await settled(bench.guard)
    assert bench.provider.checks == 1


async def test_closing_ends_the_account_call(bench: Bench) -> None:
    await bench.send(AUTHENTICATION)
    await bench.guard.close()
    await bench.guard.close()
    assert bench.guard._confirming is None


async def test_a_request_to_slow_down_pauses_the_limiter_and_is_no_failure(bench: Bench) -> None:
    await bench.send(NotSent(Blame.PROVIDER, "429", "slow", slow_down_s=5.0))
    waiter = asyncio.create_task(bench.guard.slot(Lane.TRANSACTIONAL))
    await asyncio.sleep(0)
    assert (waiter.done(), bench.guard.state) == (False, CLOSED)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_an_adapter_that_raises_is_unknown(bench: Bench) -> None:
    [outcome] = await bench.send(ValueError("secret text"))
    assert outcome == Unknown("adapter_error", "ValueError")


async def open_and_wait(bench: Bench) -> None:
    await bench.send(PROVIDER_FAULT, 5)
    bench.clock.seconds += bench.guard.probe_due_in()


async def test_one_probe_decides(bench: Bench) -> None:
    await open_and_wait(bench)
    probe = await bench.admitted()
    other = await bench.guard.slot(Lane.BULK)
    assert (other.admit(), bench.guard.passable(), bench.guard.state) == (False, False, HALF_OPEN)
    bench.provider.outcome = Accepted()
    await probe.send(SMS)
    assert bench.guard.state is CLOSED
    probe.release()
    other.release()


async def test_a_probe_that_is_never_sent_is_free_again(bench: Bench) -> None:
    await open_and_wait(bench)
    probe = await bench.admitted()
    probe.release()
    assert bench.guard.passable()


async def test_a_cancelled_probe_is_free_again_and_teaches_nothing(bench: Bench) -> None:
    await open_and_wait(bench)
    bench.provider.hold = asyncio.Event()
    call = asyncio.create_task(bench.once())
    async with asyncio.timeout(5):
        while bench.provider.sent < 6:
            await asyncio.sleep(0)
    assert not bench.guard.passable()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (bench.guard.passable(), bench.guard.state) == (True, HALF_OPEN)
    assert bench.guard.limiter.taken == 0


async def test_calls_out_when_it_opens_neither_extend_nor_close_it(bench: Bench) -> None:
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


async def test_a_slot_sends_once_and_only_when_admitted(bench: Bench) -> None:
    slot = await bench.guard.slot(Lane.BULK)
    with pytest.raises(RuntimeError):
        await slot.send(SMS)
    assert slot.admit()
    await slot.send(SMS)
    with pytest.raises(RuntimeError):
        await slot.send(SMS)
    slot.release()
    assert bench.provider.sent == 1


async def test_releasing_twice_gives_one_place_back(bench: Bench) -> None:
    slot = await bench.guard.slot(Lane.BULK)
    slot.release()
    slot.release()
    assert bench.guard.limiter.taken == 0
    assert not slot.admit()


async def test_a_share_reaches_the_limiter(bench: Bench) -> None:
    bench.guard.share_between(4)
    assert bench.guard.limiter.limit == 1


async def test_an_administrator_closes_the_breaker(bench: Bench) -> None:
    await bench.send(PROVIDER_FAULT, 5)
    bench.guard.reset("asked for")
    assert (bench.guard.state, bench.reasons[-1]) == (CLOSED, "asked for")
