"""Breakers, busy providers, and what is decided again while a message waits."""

from __future__ import annotations

import pytest

from tests.support.fakes import Harness, snapshot
from tests.unit.handlers.rounds import SICK, results, settled
from worker.domain.messages.message import Result, State
from worker.domain.migration.phases import Phase, Role
from worker.handlers.round import RoundBlocked, RoundWaits


@pytest.fixture
def bench() -> Harness:
    return Harness()


# --- breakers ----------------------------------------------------------------------------------


async def test_an_open_breaker_is_passed_over_and_counted(bench: Harness) -> None:
    bench.target.is_open = True
    ended = await settled(bench, bench.message())
    assert ended.state is State.ACCEPTED
    assert results(bench.record()) == [("old", Result.ACCEPTED)]
    assert bench.meter.passed_over == [("at", True)]
    assert bench.record().attempts[0].eligible is False


async def test_a_fallback_nobody_reached_is_not_counted_as_passed_over(bench: Harness) -> None:
    bench.legacy.is_open = True
    assert (await settled(bench, bench.message())).state is State.ACCEPTED
    assert bench.meter.passed_over == []


async def test_a_fallback_that_was_reached_is_counted_once(bench: Harness) -> None:
    bench.legacy.is_open = True
    bench.target.outcomes = [SICK]
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert bench.meter.passed_over == [("old", False)]


async def test_every_breaker_open_blocks_until_the_first_probe(bench: Harness) -> None:
    bench.target.is_open = bench.legacy.is_open = True
    bench.target.due_in_s, bench.legacy.due_in_s = 9.0, 3.0
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(3.0)
    assert bench.shelf == {}
    assert bench.meter.passed_over == [("at", True), ("old", False)]


async def test_a_provider_without_a_role_does_not_shorten_the_pause(bench: Harness) -> None:
    bench.snapshots.current = snapshot(0, Phase.ROLLBACK)
    bench.legacy.is_open, bench.legacy.due_in_s = True, 9.0
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(9.0)


async def test_a_probe_somebody_else_took_sends_to_the_other(bench: Harness) -> None:
    async def closes() -> None:
        bench.target.is_open = True

    bench.target.probes, bench.target.waiting = [False], closes
    ended = await settled(bench, bench.message())
    assert ended.state is State.ACCEPTED
    assert (bench.target.sent, len(bench.legacy.sent)) == ([], 1)


async def test_nobody_with_a_role_is_blocked_for_no_time(bench: Harness) -> None:
    bench.snapshots.current = snapshot(0, Phase.ROLLBACK, legacy_enabled=False)
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(0.0)


# --- decided again -----------------------------------------------------------------------------


async def test_a_change_while_waiting_at_the_limiter_is_decided_again(bench: Harness) -> None:
    async def rollback() -> None:
        bench.snapshots.current = snapshot(0, Phase.ROLLBACK, version=2)

    bench.target.waiting = rollback
    await settled(bench, bench.message())
    assert results(bench.record()) == [("old", Result.ACCEPTED)]
    assert (bench.record().attempts[0].version, bench.target.sent) == (2, [])


async def test_a_snapshot_gone_stale_while_waiting_is_waited_for(bench: Harness) -> None:
    stales: list[bool] = []

    async def stale() -> None:
        bench.snapshots.stale = not stales
        stales.append(bench.snapshots.stale)

    bench.target.waiting = stale
    await settled(bench, bench.message())
    assert stales == [True, False]
    assert len(bench.target.sent) == 1


async def test_a_rollback_moves_what_waits_for_a_retry(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [SICK], [SICK]
    message = bench.message()
    await bench.hybrid.run(message, None)
    bench.snapshots.current = snapshot(0, Phase.ROLLBACK, version=2)
    await settled(bench, message, bench.record())
    assert bench.record().attempts[-1].provider == "old"
    assert len(bench.target.sent) == 1


async def test_a_rollback_between_two_candidates_counts_for_the_second(bench: Harness) -> None:
    bench.snapshots.current = snapshot(0)  # legacy first

    async def rollback() -> None:
        bench.snapshots.current = snapshot(0, Phase.ROLLBACK, version=2)

    bench.legacy.outcomes, bench.legacy.during = [SICK], rollback
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert bench.target.sent == []


# --- busy: passed over, and no failure ---------------------------------------------------------


async def test_a_busy_provider_is_passed_over_as_no_failure_of_its_own(bench: Harness) -> None:
    bench.target.busy_s = 5.0
    ended = await settled(bench, bench.message())
    assert ended.state is State.ACCEPTED
    (attempt,) = bench.record().attempts
    assert (attempt.provider, attempt.eligible) == ("old", False)
    assert attempt.reason.endswith("; target takes no more now; fallback")
    assert bench.meter.passed_over == []
    assert [measured.fallback for measured in bench.meter.attempts] == [True]
    assert (bench.target.sent, bench.target.waits) == ([], 0)


async def test_who_waited_for_one_provider_in_vain_goes_to_the_other(bench: Harness) -> None:
    bench.target.full = True
    await settled(bench, bench.message())
    assert results(bench.record()) == [("old", Result.ACCEPTED)]
    assert bench.target.waits == 1
    assert "target takes no more now" in bench.record().attempts[0].reason


@pytest.mark.parametrize("busy_s", [0.0, 5.0])
async def test_where_nobody_takes_more_nothing_is_tried_nor_written(
    bench: Harness, busy_s: float
) -> None:
    for guard, longer in ((bench.target, 0), (bench.legacy, 2)):
        guard.full, guard.busy_s = True, busy_s and busy_s + longer
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(busy_s)
    assert (bench.shelf, bench.idle) == ({}, True)
    assert bench.target.waits == bench.legacy.waits == (0 if busy_s else 1)


async def test_one_busy_and_one_open_pause_until_the_first_of_both(bench: Harness) -> None:
    bench.target.is_open, bench.legacy.busy_s = True, 5.0
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(5.0)
    assert bench.meter.passed_over == [("at", True)]


async def test_a_probe_of_a_busy_provider_comes_again_and_pauses_nobody(bench: Harness) -> None:
    bench.target.busy_s = 5.0
    message = bench.message(probe=Role.TARGET)
    assert await bench.hybrid.run(message, None) == RoundBlocked(0.0, lane=False)
    assert (bench.shelf, bench.meter.probes_passed_over) == ({}, [])
