"""What an outcome teaches the breaker and the limiter, and what a permit may do."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import until
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
from worker.domain.messages.sms import Sms
from worker.ports.providers import BreakerState
from worker.providers.breaker import Mark
from worker.providers.guard import ASK_AGAIN_S, ProviderGuard, ProviderPermit, mark_of
from worker.providers.refusals import PERIOD_S
from worker.settings.providers import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from worker.domain.messages.receipts import DeliveryReport, OptOut

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

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class Harness:
    """A guard over a scripted provider."""

    def __init__(self, **settings: object) -> None:
        self.clock = HandClock()
        self.provider = Scripted(self.clock)
        self.reasons: list[str] = []
        self.faults: list[str | None] = []
        self.refusals: list[tuple[str, str, str]] = []
        values = {"id": "target", "kind": "http", "preset": "kannel", "base_url": "http://h"}
        self.guard = ProviderGuard(
            self.provider,
            ProviderSettings.model_validate(values | {"max_in_flight": 4} | settings),
            self.clock,
            lambda _id, _old, _new, reason: self.reasons.append(reason),
            lambda _id, fault: self.faults.append(fault),
            on_refusals=lambda *told: self.refusals.append(told),
        )

    async def send(
        self, outcome: Outcome | Exception, count: int = 1, *, refused: bool = False
    ) -> list[Outcome]:
        self.provider.outcome = outcome
        return [await self.once(refused=refused) for _ in range(count)]

    async def once(self, *, refused: bool = False) -> Outcome:
        permit = await self.admitted()
        try:
            outcome, _ = await permit.send(SMS, refused=refused)
        finally:
            permit.release()
        return outcome

    async def admitted(self) -> ProviderPermit:
        permit = await self.guard.permit(Lane.TRANSACTIONAL)
        assert permit.admit()
        return permit


@pytest.fixture
def bench() -> Harness:
    return Harness()


PROVIDER_FAULT = NotSent(Blame.PROVIDER, "503", "unavailable")
ACCOUNT_FAULT = NotSent(Blame.ACCOUNT, "x", "account")
MARKS = [
    (Accepted(), Mark.SUCCESS),
    (Refused("403", "bad number"), Mark.IGNORED),
    (NotSent(Blame.RECIPIENT, "404", "no route"), Mark.IGNORED),
    (NotSent(Blame.MESSAGE, "402", "no such sender id"), Mark.IGNORED),
    (NotSent(Blame.PROVIDER, "429", "slow down", slow_down_s=1.0), Mark.IGNORED),
    (PROVIDER_FAULT, Mark.FAILURE),
    (ACCOUNT_FAULT, Mark.FAILURE),
    (Unknown("read_timeout", "silence"), Mark.FAILURE),
]


@pytest.mark.parametrize(("outcome", "mark"), MARKS)
def test_each_outcome_says_what_the_table_says(outcome: Outcome, mark: Mark) -> None:
    assert mark_of(outcome) is mark


@pytest.mark.parametrize(("outcome", "mark"), MARKS)
def test_of_what_another_provider_refused_no_failure_says_anything_about_this_one(
    outcome: Outcome, mark: Mark
) -> None:
    of_the_number = outcome in (PROVIDER_FAULT, Unknown("read_timeout", "silence"))
    assert mark_of(outcome, refused=True) is (Mark.IGNORED if of_the_number else mark)


async def test_a_campaign_that_another_provider_refuses_leaves_the_breaker_closed(
    bench: Harness,
) -> None:
    await bench.send(PROVIDER_FAULT, 30, refused=True)
    assert bench.guard.state is CLOSED
    await bench.send(PROVIDER_FAULT, 5)
    assert bench.guard.state is OPEN


async def test_the_outcome_that_opens_the_breaker_is_returned_as_it_is(bench: Harness) -> None:
    failure = Unknown("read_timeout", "silence")
    assert await bench.send(failure, 5) == [failure] * 5
    assert bench.guard.state is OPEN


async def test_the_breaker_knows_the_outcome_before_send_returns(bench: Harness) -> None:
    await bench.send(PROVIDER_FAULT, 4)
    permit = await bench.admitted()
    await permit.send(SMS)
    assert bench.guard.state is OPEN
    permit.release()


async def test_the_duration_is_given_in_milliseconds(bench: Harness) -> None:
    permit = await bench.admitted()
    _, duration_ms = await permit.send(SMS)
    permit.release()
    assert duration_ms == pytest.approx(100)


async def test_slow_calls_count_as_slow(bench: Harness) -> None:
    bench.provider.takes_s = 6
    await bench.send(Accepted(), 20)
    assert bench.reasons == ["20 of the last 20 calls were slow"]


@pytest.mark.parametrize("fault", [AccountFault.BALANCE, AccountFault.SENDER])
async def test_a_fault_of_the_account_opens_at_once(bench: Harness, fault: AccountFault) -> None:
    await bench.send(NotSent(Blame.ACCOUNT, "x", "account", account_fault=fault))
    assert (bench.guard.state, bench.reasons) == (OPEN, [f"{fault}: account"])


async def settled(guard: ProviderGuard) -> None:
    async with asyncio.timeout(5):
        task = guard._confirming
        assert task is not None
        await task


AUTHENTICATION = NotSent(Blame.ACCOUNT, "401", "refused", account_fault=AccountFault.AUTHENTICATION)


async def test_refused_credentials_open_once_the_account_call_confirms_them(
    bench: Harness,
) -> None:
    bench.provider.health = AccountHealth(
        ok=False, reason="credentials refused", fault=AccountFault.AUTHENTICATION
    )
    await bench.send(AUTHENTICATION)
    await settled(bench.guard)
    assert (bench.guard.state, bench.provider.checks) == (OPEN, 1)
    assert bench.reasons == ["authentication: credentials refused"]


async def test_refused_credentials_that_are_not_confirmed_are_a_failure_like_others(
    bench: Harness,
) -> None:
    await bench.send(AUTHENTICATION)
    await settled(bench.guard)
    assert bench.guard.state is CLOSED
    await bench.send(AUTHENTICATION, 4)
    assert bench.guard.state is OPEN


ADDRESS = NotSent(Blame.ACCOUNT, "http_404", "no such", account_fault=AccountFault.ADDRESS)


@pytest.mark.parametrize(("fault", "state"), [(AccountFault.ADDRESS, OPEN), (None, CLOSED)])
async def test_a_wrong_address_opens_once_the_account_call_confirms_it(
    bench: Harness, fault: AccountFault | None, state: BreakerState
) -> None:
    bench.provider.health = AccountHealth(ok=False, reason="HTTP 404", fault=fault)
    await bench.send(ADDRESS)
    await settled(bench.guard)
    assert bench.guard.state is state
    assert bench.faults == (["address: HTTP 404"] if fault else [])


# --- refusals that only this provider makes ------------------------------------------------------

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


# --- nobody waits long ------------------------------------------------------------------------

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
