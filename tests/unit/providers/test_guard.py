"""What an outcome teaches the breaker and the limiter, and what a permit may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.providers.guard_desk import (
    AUTHENTICATION,
    CLOSED,
    OPEN,
    PROVIDER_FAULT,
    SMS,
    Harness,
    settled,
)
from worker.domain.messages.account import AccountHealth
from worker.domain.messages.outcome import (
    Accepted,
    AccountFault,
    Blame,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.providers.breaker import Mark
from worker.providers.guard import mark_of

if TYPE_CHECKING:
    from worker.ports.providers import BreakerState


@pytest.fixture
def bench() -> Harness:
    return Harness()


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
