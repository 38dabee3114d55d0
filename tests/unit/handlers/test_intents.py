"""Attempt by attempt: one round of a message, with scripted providers and a clock of our own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.fakes import Harness, names
from tests.unit.handlers.rounds import MAYBE, SICK, results, settled
from worker.domain.messages.message import Result, State
from worker.domain.messages.outcome import Accepted
from worker.handlers.round import RoundNotBegun, RoundOptedOut, RoundTooLate, RoundWaits


@pytest.fixture
def bench() -> Harness:
    return Harness()


# --- the straight way --------------------------------------------------------------------------


async def test_the_first_candidate_takes_it(bench: Harness) -> None:
    bench.target.outcomes = [Accepted("at-1", parts=2)]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.ACCEPTED, ["sms.sent"])
    assert results(bench.record()) == [("at", Result.ACCEPTED)]
    assert bench.legacy.sent == []


async def test_the_provider_gets_what_was_asked_for(bench: Harness) -> None:
    await settled(bench, bench.message(sender_id="BANK", traceparent="00-1-2-01"))
    (sms,) = bench.target.sent
    assert (sms.message_id, sms.epoch, sms.to) == ("m-1", 1, "+260977123456")
    assert (sms.text, sms.sender_id, sms.valid_for_s) == ("Your code is 1234", "BANK", 600.0)
    assert sms.traceparent == "00-1-2-01"


async def test_the_intent_is_durable_before_the_call(bench: Harness) -> None:
    seen: list[Any] = []

    async def during() -> None:
        await asyncio.sleep(0)
        seen.append(bench.record())

    bench.target.during = during
    await settled(bench, bench.message())
    assert (seen[0].state, seen[0].epoch) == (State.SUBMITTING, 1)
    assert results(seen[0]) == [("at", None)]


async def test_an_attempt_is_measured_once_with_its_cost_and_reason(bench: Harness) -> None:
    await settled(bench, bench.message(branch_id=7))
    (measured,) = bench.meter.attempts
    assert (measured.provider, measured.eligible, measured.fallback) == ("at", True, False)
    assert (measured.duration_ms, measured.lane, measured.branch_id) == (12.5, "transactional", 7)


# --- not begun, too late, opted out ------------------------------------------------------------


async def test_a_drain_begins_nothing(bench: Harness) -> None:
    bench.draining = True
    assert await bench.hybrid.run(bench.message(), None) == RoundNotBegun()
    assert bench.shelf == {}


async def test_a_drain_at_the_limiter_begins_nothing(bench: Harness) -> None:
    async def drain() -> None:
        bench.draining = True

    bench.target.waiting = drain
    assert await bench.hybrid.run(bench.message(), None) == RoundNotBegun()
    assert (bench.shelf, bench.idle) == ({}, True)


async def test_a_drain_after_a_proof_begins_no_other_call_and_does_not_count(
    bench: Harness,
) -> None:
    async def drain() -> None:
        bench.draining = True

    bench.target.outcomes, bench.target.during = [SICK], drain
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert (bench.record().state, bench.record().failed_rounds) == (State.WAITING, 0)
    assert results(bench.record()) == [("at", Result.NOT_SENT)]
    assert (bench.legacy.sent, bench.idle) == ([], True)


async def test_a_drain_does_not_put_off_the_resend_of_what_may_have_left(bench: Harness) -> None:
    async def drain() -> None:
        bench.draining = True

    bench.target.outcomes, bench.target.during = [MAYBE], drain
    assert (await settled(bench, bench.message())).state is State.ACCEPTED
    assert len(bench.legacy.sent) == 1


async def test_a_life_that_is_over_begins_nothing(bench: Harness) -> None:
    message = bench.message()
    bench.clock.advance(600)
    assert await bench.hybrid.run(message, None) == RoundTooLate()
    assert bench.shelf == {}


async def test_a_life_that_ends_at_the_limiter_begins_nothing(bench: Harness) -> None:
    async def wait() -> None:
        bench.clock.advance(600)

    bench.target.waiting = wait
    assert await bench.hybrid.run(bench.message(), None) == RoundTooLate()
    assert (bench.shelf, bench.idle) == ({}, True)


async def test_a_life_that_ends_in_mid_round_fails(bench: Harness) -> None:
    async def wait() -> None:
        bench.clock.advance(600)

    bench.target.outcomes, bench.target.during = [SICK], wait
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.FAILED, ["sms.failed"])
    assert ended.reason == "its life ended; last: unavailable"


async def test_an_opted_out_recipient_is_asked_of_nobody(bench: Harness) -> None:
    message = bench.message()
    await bench.suppressed.opt_out(message.recipient)
    assert await bench.hybrid.run(message, None) == RoundOptedOut()
    assert bench.shelf == {}


async def test_an_opt_out_in_mid_round_ends_it(bench: Harness) -> None:
    message = bench.message()

    async def opt_out() -> None:
        await bench.suppressed.opt_out(message.recipient)

    bench.target.outcomes, bench.target.during = [SICK], opt_out
    ended = await settled(bench, message)
    assert (ended.state, bench.legacy.sent) == (State.FAILED, [])
    assert ended.reason == "recipient opted out; last: unavailable"


async def test_an_opt_out_after_an_unknown_does_not_make_it_failed(bench: Harness) -> None:
    message = bench.message()

    async def opt_out() -> None:
        await bench.suppressed.opt_out(message.recipient)

    bench.target.outcomes, bench.target.during = [MAYBE], opt_out
    ended = await settled(bench, message)
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert bench.legacy.sent == []
