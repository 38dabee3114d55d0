"""A proof of not having been sent is written before any long wait."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fakes import Harness, names
from tests.unit.handlers.rounds import MAYBE, NO_ROUTE, SICK, results, settled
from worker.domain.messages.message import Attempt, Lane, Record, Result, State
from worker.handlers.round import RoundBlocked, RoundWaits


@pytest.fixture
def bench() -> Harness:
    return Harness()


async def test_a_fallback_that_is_free_at_once_costs_no_further_write(bench: Harness) -> None:
    async def never(*_: Any, **__: Any) -> None:
        raise AssertionError("expected two intents and an outcome only")

    bench.messages.wait = bench.messages.look = never
    bench.target.outcomes = [SICK]
    await settled(bench, bench.message())
    assert results(bench.record()) == [("at", Result.NOT_SENT), ("old", Result.ACCEPTED)]


async def test_while_the_fallback_is_waited_for_the_proof_is_written(bench: Harness) -> None:
    seen: list[Record] = []

    async def look() -> None:
        seen.append(bench.record())

    bench.target.outcomes, bench.legacy.waiting = [SICK], look
    await settled(bench, bench.message())
    assert (seen[0].state, seen[0].round, seen[0].failed_rounds) == (State.WAITING, 1, 0)
    assert results(seen[0]) == [("at", Result.NOT_SENT)]
    assert results(bench.record()) == [("at", Result.NOT_SENT), ("old", Result.ACCEPTED)]
    assert bench.record().attempts[1].reason.endswith("; fallback")


@pytest.mark.parametrize("how", ["busy", "full"])
async def test_a_fallback_that_takes_no_more_leaves_the_message_waiting_uncounted(
    bench: Harness, how: str
) -> None:
    bench.target.outcomes = [SICK]
    bench.legacy.busy_s, bench.legacy.full = (5.0, False) if how == "busy" else (0.0, True)
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert (bench.record().state, bench.record().failed_rounds) == (State.WAITING, 0)
    assert (len(bench.target.sent), bench.legacy.sent, bench.idle) == (1, [], True)


async def test_the_copies_of_what_waits_uncounted_come_ever_later(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.busy_s = [NO_ROUTE] * 9, 5.0
    message = bench.message(lane=Lane.BULK)
    base = None
    for calls in (1, 2, 3, 4, 5):
        assert await bench.hybrid.run(message, base) == RoundWaits(calls, calls)
        base = bench.record()
    assert base.failed_rounds == 0


async def test_a_round_whose_last_candidate_fails_after_the_wait_counts_once(
    bench: Harness,
) -> None:
    async def wait() -> None:
        pass

    bench.target.outcomes, bench.legacy.outcomes = [SICK], [SICK]
    bench.legacy.waiting = wait
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(2, 1)
    assert bench.record().failed_rounds == 1


async def test_a_proof_is_written_before_a_fresh_state_is_waited_for(bench: Harness) -> None:
    seen: list[State] = []
    real = bench.snapshots.fresh

    async def stale() -> None:
        bench.snapshots.stale = True

    async def fresh() -> Any:
        if bench.shelf:
            seen.append(bench.record().state)
        return await real()

    bench.snapshots.fresh = fresh
    bench.target.outcomes, bench.target.during = [SICK], stale
    await settled(bench, bench.message())
    assert seen == [State.WAITING]
    assert results(bench.record())[1] == ("old", Result.ACCEPTED)


async def test_a_life_that_ends_at_the_fallback_leaves_the_end_to_the_copy(bench: Harness) -> None:
    async def wait() -> None:
        bench.clock.advance(600)

    bench.target.outcomes, bench.legacy.waiting = [SICK], wait
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert bench.legacy.sent == []


async def test_who_goes_on_from_the_written_proof_elsewhere_is_left_alone(bench: Harness) -> None:
    async def taken_over() -> None:
        theirs = bench.owned_by("theirs")
        attempt = Attempt(2, "old", 1, "fallback")
        await theirs.intend(bench.record(), attempt, lane=Lane.TRANSACTIONAL)

    bench.target.outcomes, bench.legacy.waiting = [SICK], taken_over
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert (stands.state, stands.owner) == (State.SUBMITTING, "theirs")
    assert (bench.legacy.sent, bench.idle) == ([], True)


async def test_a_proof_that_lost_its_record_is_kept_as_a_late_one(bench: Harness) -> None:
    async def taken_over() -> None:
        bench.clock.advance(bench.LEASE_S + 1)
        found = await bench.messages.look("m-1")
        assert found is not None
        assert await bench.owned_by("theirs").declare_unknown(found, ()) is None
        unknown, attempt = bench.record(), Attempt(2, "old", 1, "resend", resend=True)
        await bench.owned_by("theirs").intend(unknown, attempt, lane=Lane.TRANSACTIONAL)

    bench.target.outcomes, bench.target.during = [SICK], taken_over
    bench.legacy.full = True
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert stands.owner == "theirs"
    assert [late.outcome for late in bench.shelf["m-1"].late[1]] == [SICK]


async def test_a_resend_waits_for_who_is_busy_only(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.busy_s = [MAYBE], 5.0
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert (stands.state, stands.resend_used) == (State.UNKNOWN, False)
    assert names(stands.events) == ["sms.unknown"]
    assert await bench.hybrid.run(bench.message(), stands) == RoundBlocked(5.0, lane=False)
    bench.legacy.busy_s = 0.0
    assert (await settled(bench, bench.message(), stands)).state is State.ACCEPTED
