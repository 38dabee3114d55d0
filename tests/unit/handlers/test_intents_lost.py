"""Between intent and POST, and what another one takes over meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.fakes import Harness, quietly, snapshot
from tests.unit.handlers.rounds import (
    BAD,
    MAYBE,
    SICK,
    _first_attempt,
    results,
    settled,
    unknown_record,
)
from worker.domain.messages.message import Lane, Record, Result, State
from worker.domain.messages.outcome import Accepted, Outcome
from worker.handlers import message_events
from worker.handlers.round import PendingIntents, RoundWaits


@pytest.fixture
def bench() -> Harness:
    return Harness()


def slow_store(bench: Harness, seconds: float) -> None:
    """Each intent takes that long to become durable."""
    for name in ("claim", "intend"):
        real = getattr(bench.messages, name)

        async def slow(*args: Any, _real: Any = real, **kwargs: Any) -> Any:
            held = await _real(*args, **kwargs)
            bench.clock.advance(seconds)
            return held

        setattr(bench.messages, name, slow)


# --- between intent and POST -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "life_s"),
    [
        (Harness.LEASE_S - Harness.DEADLINE_S, 600),  # the lease would end before the provider must
        (20, 10),
    ],
)
async def test_an_intent_that_came_too_late_is_withdrawn_uncounted(
    bench: Harness, seconds: float, life_s: float
) -> None:
    slow_store(bench, seconds)
    message = bench.message(expires_at=bench.clock.now() + timedelta(seconds=life_s))
    assert await bench.hybrid.run(message, None) == RoundWaits(1, 0)
    assert (bench.target.sent, bench.idle) == ([], True)
    record = bench.record()
    assert (record.state, record.failed_rounds) == (State.WAITING, 0)
    assert results(record) == [("at", Result.NOT_SENT)]


async def test_a_lease_just_long_enough_is_used(bench: Harness) -> None:
    slow_store(bench, Harness.LEASE_S - Harness.DEADLINE_S - 0.001)
    assert (await settled(bench, bench.message())).state is State.ACCEPTED


async def test_a_resend_that_came_too_late_leaves_it_unknown(bench: Harness) -> None:
    record = await unknown_record(bench)
    slow_store(bench, 40)
    ended = await settled(bench, bench.message(), record)
    assert (ended.state, bench.legacy.sent) == (State.UNKNOWN, [])


async def test_the_version_of_an_intent_is_known_while_it_is_written(bench: Harness) -> None:
    real, seen = bench.messages.claim, []

    async def claim(*args: Any) -> Any:
        seen.append(bench.pending_intents.oldest())
        return await real(*args)

    bench.messages.claim = claim
    await settled(bench, bench.message())
    assert seen == [1]


def test_the_oldest_of_several_versions_is_the_one_left_behind() -> None:
    pending = PendingIntents()
    with pending.writing(3), pending.writing(2), pending.writing(2):
        assert pending.oldest() == 2
    assert pending.oldest() is None


async def declared_meanwhile(bench: Harness, *, resent: bool) -> None:
    """Our lease runs out in mid-call, and another process finds the record."""
    bench.clock.advance(bench.LEASE_S + 1)
    theirs = bench.owned_by("theirs")
    found = await theirs.look("m-1")
    assert found is not None
    event = message_events.unknown(found, found.attempts[-1], "gone", bench.clock.now())
    assert await theirs.declare_unknown(found, (event,)) is None
    if resent:
        stands = await theirs.look("m-1")
        assert stands is not None
        attempt = replace(_first_attempt("old"), epoch=stands.epoch + 1, resend=True)
        assert not isinstance(await theirs.intend(stands, attempt, lane=Lane.TRANSACTIONAL), Record)


# --- lost to another ---------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Accepted("at-1"), BAD, MAYBE, SICK])
async def test_what_another_took_over_stands_and_our_outcome_is_late(
    bench: Harness, outcome: Outcome
) -> None:
    bench.target.outcomes = [outcome]
    bench.target.during = lambda: declared_meanwhile(bench, resent=True)
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert (stands.owner, stands.epoch) == ("theirs", 2)
    (late,) = bench.shelf["m-1"].late[1]
    assert (late.outcome, bench.legacy.sent, bench.idle) == (outcome, [], True)


async def test_a_last_candidates_proof_is_late_too(bench: Harness) -> None:
    bench.snapshots.current = snapshot(100, legacy_enabled=False)
    bench.target.outcomes = [SICK]
    bench.target.during = lambda: declared_meanwhile(bench, resent=True)
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert [late.outcome for late in bench.shelf["m-1"].late[1]] == [SICK]


async def test_an_answer_after_the_lease_still_counts_where_nobody_went_on(bench: Harness) -> None:
    bench.target.outcomes = [Accepted("at-1")]
    bench.target.during = lambda: declared_meanwhile(bench, resent=False)
    assert (await settled(bench, bench.message())).state is State.ACCEPTED


async def test_proof_after_the_lease_still_falls_back(bench: Harness) -> None:
    bench.target.outcomes = [SICK]
    bench.target.during = lambda: declared_meanwhile(bench, resent=False)
    long = bench.message(expires_at=bench.clock.now().replace(year=2030))
    assert (await settled(bench, long)).state is State.ACCEPTED
    assert results(bench.record()) == [("at", Result.NOT_SENT), ("old", Result.ACCEPTED)]


async def test_a_claim_that_lost_calls_nobody(bench: Harness) -> None:
    await bench.owned_by("theirs").claim(bench.message(), _first_attempt())
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert (stands.owner, bench.target.sent, bench.idle) == ("theirs", [], True)


async def test_two_processes_with_one_retry_copy_call_once() -> None:
    one = Harness()
    one.target.outcomes, one.legacy.outcomes = [SICK], [SICK]
    message = one.message()
    await one.hybrid.run(message, None)
    other = Harness(shelf=one.shelf)
    base = one.record()
    ends = await asyncio.gather(one.hybrid.run(message, base), other.hybrid.run(message, base))
    assert sorted(type(end).__name__ for end in ends) == ["Record", "RoundSettled"]
    assert len(one.target.sent) + len(other.target.sent) == 2  # the first round, and one of them


async def test_a_failing_store_gives_the_place_back(bench: Harness) -> None:
    async def broken(*_: Any) -> Any:
        raise ValueError("cannot be encoded")

    bench.messages.claim = broken
    with pytest.raises(ValueError, match="encoded"):
        await bench.hybrid.run(bench.message(), None)
    assert bench.idle


async def test_a_cancelled_round_gives_the_place_back(bench: Harness) -> None:
    forever = asyncio.Event()
    bench.target.during = forever.wait
    task = asyncio.create_task(bench.hybrid.run(bench.message(), None))
    while not bench.target.sent:
        await asyncio.sleep(0)
    task.cancel()
    await quietly(task)
    assert bench.idle
