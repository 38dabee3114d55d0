"""Deliveries of messages that have a record already: waiting, submitting, settled, in hand."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from contracts.names import Header, Queue
from tests.support.fakes import BULK, incoming, snapshot
from tests.support.send_desk import ACK, MAYBE, REDELIVERED, Desk
from worker.domain.messages.message import Lane, State
from worker.domain.messages.outcome import Accepted, Refused
from worker.domain.migration.phases import Phase
from worker.handlers.running import Running


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- waiting -----------------------------------------------------------------------------------


async def test_a_failed_round_waits_with_its_copy(desk: Desk) -> None:
    desk.sick()
    assert await desk.take() is ACK
    ((tier, headers),) = desk.publisher.parked
    assert (tier, headers[Header.ROUND]) == ("5s", 1)
    assert desk.record().state is State.WAITING
    assert desk.publisher.events == []


async def test_rounds_wait_longer_and_then_fail(desk: Desk) -> None:
    desk.sick(rounds=3)
    delivery = incoming(queue=Queue.BULK)
    await desk.take(delivery)
    for _ in range(2):
        await desk.take(replace(delivery, headers=desk.publisher.parked[-1][1]))
    assert [tier for tier, _ in desk.publisher.parked] == ["5s", "30s"]
    assert desk.publisher.order[-2:] == ["sms.failed", "dead"]


async def test_the_copy_of_the_round_goes_on(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    assert await desk.take(desk.copy()) is ACK
    assert desk.publisher.names == ["sms.sent"]
    assert desk.record().epoch == 3


async def test_a_delivery_that_carries_less_publishes_the_copy_again(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    assert await desk.take(REDELIVERED) is ACK
    assert [headers[Header.ROUND] for _, headers in desk.publisher.parked] == [1, 1]
    assert (desk.calls, desk.record().state) == (2, State.WAITING)


async def test_of_two_copies_of_a_round_one_goes_on(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    copy = desk.copy()
    other = Desk(shelf=desk.shelf)
    assert await asyncio.gather(desk.send(copy), other.send(copy)) == [ACK, ACK]
    assert desk.calls + other.calls == 3  # two in the first round, one now
    ends = desk.publisher.order[1:] + other.publisher.order
    assert sorted(ends) in (["park 5s", "sms.sent"], ["sms.sent", "sms.sent"])


async def test_a_copy_that_comes_too_late_fails_after_a_call(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    desk.clock.advance(601)
    assert await desk.take(desk.copy()) is ACK
    assert desk.publisher.names == ["sms.failed"]
    assert desk.record().state is State.FAILED


async def test_an_opt_out_between_rounds_fails(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    await desk.suppressed.opt_out(desk.message().recipient)
    await desk.take(desk.copy())
    assert desk.publisher.order[-2:] == ["sms.failed", "dead"]


async def test_a_rollback_moves_what_waits(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    desk.snapshots.current = snapshot(0, Phase.ROLLBACK, version=2)
    await desk.take(desk.copy())
    assert desk.record().attempts[-1].provider == "old"


async def test_life_does_not_start_anew_with_a_copy(desk: Desk) -> None:
    desk.target.is_open = desk.legacy.is_open = True
    await desk.take()
    desk.clock.advance(601)
    desk.target.is_open = False
    await desk.take(desk.copy())
    assert desk.publisher.names == ["sms.expired"]


# --- submitting --------------------------------------------------------------------------------


async def test_what_somebody_alive_holds_is_parked_uncounted(desk: Desk) -> None:
    await desk.leave_submitting()
    assert await desk.take(REDELIVERED) is ACK
    ((tier, headers),) = desk.publisher.parked
    assert (tier, Header.ROUND in headers, desk.calls) == ("5s", False, 0)


async def test_a_fresh_delivery_that_loses_its_insert_acts_on_what_stands(desk: Desk) -> None:
    await desk.leave_submitting()
    assert await desk.take() is ACK
    assert (len(desk.publisher.parked), desk.calls) == (1, 0)


async def test_a_dead_transactional_lease_is_sent_once_more_and_says_so(desk: Desk) -> None:
    await desk.leave_submitting()
    desk.clock.advance(desk.LEASE_S + 1)
    assert await desk.take(REDELIVERED) is ACK
    assert desk.publisher.names == ["sms.unknown", "sms.sent"]
    assert desk.publisher.body()["possibleDuplicate"] is True
    assert (len(desk.target.sent), len(desk.legacy.sent)) == (0, 1)


async def test_a_dead_bulk_lease_is_held_and_announced(desk: Desk) -> None:
    await desk.leave_submitting(**BULK)
    desk.clock.advance(desk.LEASE_S + 1)
    assert await desk.take(REDELIVERED) is ACK
    assert (desk.publisher.names, desk.calls) == (["sms.unknown"], 0)
    assert desk.record().state is State.UNKNOWN


async def test_a_dead_lease_of_the_last_provider_is_held(desk: Desk) -> None:
    desk.snapshots.current = snapshot(100, legacy_enabled=False)
    await desk.leave_submitting()
    desk.clock.advance(desk.LEASE_S + 1)
    assert await desk.take(REDELIVERED) is ACK
    assert (desk.publisher.names, desk.calls) == (["sms.unknown"], 0)


async def test_two_processes_find_a_dead_lease_and_one_resends(desk: Desk) -> None:
    await desk.leave_submitting()
    desk.clock.advance(desk.LEASE_S + 1)
    other = Desk(shelf=desk.shelf)
    other.clock.advance(desk.LEASE_S + 1)
    await asyncio.gather(desk.send(REDELIVERED), other.send(REDELIVERED))
    assert desk.calls + other.calls == 1


async def test_after_the_resend_a_redelivery_tells_the_same_again(desk: Desk) -> None:
    desk.target.outcomes = [MAYBE]
    await desk.take()
    told = [event.id for event in desk.publisher.events]
    await desk.take(REDELIVERED)
    assert [event.id for event in desk.publisher.events] == told * 2
    assert desk.calls == 2


async def test_an_unknown_whose_life_is_over_is_told_again(desk: Desk) -> None:
    await desk.leave_submitting()
    desk.clock.advance(700)
    assert await desk.take(REDELIVERED) is ACK
    assert (desk.publisher.names, desk.calls) == (["sms.unknown"], 0)


async def test_a_resend_to_somebody_who_opted_out_stays_unknown(desk: Desk) -> None:
    await desk.leave_submitting()
    desk.clock.advance(desk.LEASE_S + 1)
    await desk.suppressed.opt_out(desk.message().recipient)
    assert await desk.take(REDELIVERED) is ACK
    assert (desk.publisher.names, desk.calls) == (["sms.unknown"], 0)


async def test_both_attempts_are_told_if_the_resend_is_unknown_too(desk: Desk) -> None:
    await desk.leave_submitting()
    desk.clock.advance(desk.LEASE_S + 1)
    desk.legacy.outcomes = [MAYBE]
    await desk.take(REDELIVERED)
    assert desk.publisher.names == ["sms.unknown", "sms.unknown"]
    told = [desk.publisher.body(n) for n in (0, 1)]
    assert [(each["attempt"], each["possibleDuplicate"]) for each in told] == [
        (1, False),
        (2, True),
    ]


# --- settled -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Accepted("at-1"), ["sms.sent"]),
        (Refused("403", "bad"), ["sms.failed", "dead"]),
    ],
)
async def test_what_is_settled_is_told_again_byte_for_byte(
    desk: Desk, outcome: Any, told: list[str]
) -> None:
    desk.target.outcomes = [outcome]
    await desk.take()
    await desk.take(REDELIVERED)
    first, second = desk.publisher.events
    assert (first.body, first.id) == (second.body, second.id)
    assert (desk.publisher.order, desk.calls) == (told * 2, 1)


async def test_the_same_content_on_the_other_lane_follows_the_first(desk: Desk) -> None:
    desk.target.outcomes = [MAYBE]
    await desk.take(incoming(queue=Queue.BULK))
    await desk.take(incoming(queue=Queue.TRANSACTIONAL, redelivered=True))
    assert (desk.record().lane, desk.calls) == (Lane.BULK, 1)


@pytest.mark.parametrize("redelivered", [False, True])
async def test_the_same_id_with_other_content_is_dead_without_an_event(
    desk: Desk,
    redelivered: bool,  # noqa: FBT001 - a parameter
) -> None:
    await desk.take()
    before = desk.record()
    assert await desk.take(incoming(fields={"text": "other"}, redelivered=redelivered)) is ACK
    assert desk.publisher.order == ["sms.sent", "dead"]
    reason, headers = desk.publisher.dead_letters[0]
    assert reason == "id conflict: same id, other content"
    assert Header.ATTEMPTS not in headers  # those of the first are not its own
    assert desk.record() == before


# --- join --------------------------------------------------------------------------------------


async def test_two_deliveries_at_once_in_one_process_send_once(desk: Desk) -> None:
    answer = asyncio.Event()
    desk.target.during = answer.wait
    first = asyncio.create_task(desk.send(incoming()))
    while not desk.target.sent:
        await asyncio.sleep(0)
    others = [asyncio.create_task(desk.send(REDELIVERED)) for _ in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert not any(task.done() for task in (first, *others))
    answer.set()
    assert await asyncio.gather(first, *others) == [ACK] * 4
    assert desk.calls == 1
    assert len({event.id for event in desk.publisher.events}) == 1


async def test_who_joined_goes_on_when_the_first_failed(desk: Desk) -> None:
    desk.publisher.failure = ConnectionError("gone")
    first = asyncio.create_task(desk.send(incoming()))
    second = asyncio.create_task(desk.send(incoming()))
    while not first.done():
        await asyncio.sleep(0)
    desk.publisher.failure = None
    assert await second is ACK
    assert isinstance(first.exception(), ConnectionError)
    assert (desk.publisher.names, desk.calls) == (["sms.sent"], 1)


async def test_an_id_is_free_when_its_holder_is_done() -> None:
    running = Running()
    with running.hold("m-1"):
        assert "m-1" in running
    assert "m-1" not in running
    await running.ended("m-1")
