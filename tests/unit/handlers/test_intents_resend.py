"""What may have been sent: held, or sent once more by a message that may be doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import BULK, Harness, names, snapshot
from tests.unit.handlers.rounds import BAD, MAYBE, NO_ROUTE, SICK, results, settled, unknown_record
from worker.domain.messages.message import OnUnknown, Result, State
from worker.handlers.round import RoundBlocked

if TYPE_CHECKING:
    from worker.domain.messages.outcome import Outcome


@pytest.fixture
def bench() -> Harness:
    return Harness()


# --- unknown -----------------------------------------------------------------------------------


async def test_bulk_is_held_and_announced_unknown(bench: Harness) -> None:
    bench.target.outcomes = [MAYBE]
    ended = await settled(bench, bench.message(**BULK))
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert bench.legacy.sent == []


async def test_policy_is_the_messages_own_whatever_its_lane(bench: Harness) -> None:
    bench.target.outcomes = [MAYBE]
    held = bench.message(on_unknown=OnUnknown.HOLD)
    assert (await settled(bench, held)).state is State.UNKNOWN


async def test_transactional_is_sent_once_more_and_marked(bench: Harness) -> None:
    bench.target.outcomes = [MAYBE]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.ACCEPTED, ["sms.sent"])
    assert '"possibleDuplicate":true' in ended.events[0].body
    record = bench.record()
    assert results(record) == [("at", Result.UNKNOWN), ("old", Result.ACCEPTED)]
    assert (record.resend_used, record.attempts[1].resend) == (True, True)


async def test_two_unknowns_are_held(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [MAYBE], [MAYBE]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert len(bench.target.sent) + len(bench.legacy.sent) == 2


async def test_an_unknown_fallback_has_nobody_left_to_resend_through(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [SICK], [MAYBE]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert (len(bench.target.sent), len(bench.legacy.sent)) == (1, 1)


@pytest.mark.parametrize("second", [BAD, SICK, NO_ROUTE])
async def test_after_an_unknown_nothing_is_announced_failed(
    bench: Harness, second: Outcome
) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [MAYBE], [second]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert '"attempt":1' in ended.events[0].body  # the one that may have left


async def test_an_unknown_without_a_second_provider_is_held(bench: Harness) -> None:
    bench.snapshots.current = snapshot(100, legacy_enabled=False)
    bench.target.outcomes = [MAYBE]
    assert (await settled(bench, bench.message())).state is State.UNKNOWN


# --- the resend after a dead process -----------------------------------------------------------


async def test_a_resend_goes_through_what_was_not_tried(bench: Harness) -> None:
    record = await unknown_record(bench)
    ended = await settled(bench, bench.message(), record)
    assert ended.state is State.ACCEPTED
    assert '"possibleDuplicate":true' in ended.events[-1].body
    assert (len(bench.target.sent), len(bench.legacy.sent)) == (0, 1)


async def test_a_resend_that_is_unknown_too_is_announced_as_a_possible_duplicate(
    bench: Harness,
) -> None:
    bench.legacy.outcomes = [MAYBE]
    record = await unknown_record(bench)
    ended = await settled(bench, bench.message(), record)
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert '"attempt":2' in ended.events[0].body
    assert '"possibleDuplicate":true' in ended.events[0].body


@pytest.mark.parametrize("second", [BAD, SICK])
async def test_a_resend_that_was_not_taken_leaves_it_unknown(
    bench: Harness, second: Outcome
) -> None:
    bench.legacy.outcomes = [second]
    record = await unknown_record(bench)
    assert (await settled(bench, bench.message(), record)).state is State.UNKNOWN


async def test_with_nobody_left_to_resend_through_the_stored_events_stand(bench: Harness) -> None:
    bench.snapshots.current = snapshot(100, legacy_enabled=False)
    record = await unknown_record(bench)
    ended = await settled(bench, bench.message(), record)
    assert (ended.state, ended.events) == (State.UNKNOWN, record.events)


async def test_a_resend_does_not_wait_for_the_breaker_of_what_was_tried(bench: Harness) -> None:
    bench.snapshots.current = snapshot(100, legacy_enabled=False)
    bench.target.is_open = True
    record = await unknown_record(bench)
    assert (await settled(bench, bench.message(), record)).events == record.events


async def test_a_resend_waits_for_the_breaker_of_what_was_not(bench: Harness) -> None:
    bench.legacy.is_open, bench.legacy.due_in_s = True, 4.0
    record = await unknown_record(bench)
    # The lane goes on: others have the target.
    assert await bench.hybrid.run(bench.message(), record) == RoundBlocked(4.0, lane=False)
    assert bench.record().state is State.UNKNOWN
