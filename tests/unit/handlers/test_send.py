"""The life of a message: what each delivery does with what it finds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.names import Header, Queue
from tests.support.fakes import NUMBER, incoming, snapshot
from tests.support.send_desk import ACK, MAYBE, REDELIVERED, REQUEUE, SICK, Desk
from worker.domain.messages.message import Lane, State
from worker.domain.messages.outcome import Accepted, Refused
from worker.domain.migration.phases import Role

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- begin -------------------------------------------------------------------------------------


async def test_a_new_message_is_sent_announced_and_acknowledged(desk: Desk) -> None:
    desk.target.outcomes = [Accepted("at-1")]
    assert await desk.take() is ACK
    assert desk.publisher.names == ["sms.sent"]
    assert desk.publisher.body()["providerMessageId"] == "at-1"
    assert desk.record().state is State.ACCEPTED


async def test_confirmed_events_are_marked(desk: Desk) -> None:
    await desk.take()
    (event,) = desk.record().events
    assert desk.shelf["m-1"].confirmed == {event.event_id}


async def test_a_fresh_delivery_does_not_look_first(desk: Desk) -> None:
    async def look(_: str) -> None:
        raise AssertionError("a read before the insert")

    desk.messages.look = look
    assert await desk.take() is ACK


async def test_the_record_stands_before_its_event(desk: Desk) -> None:
    desk.publisher.failure = ConnectionError("gone")
    with pytest.raises(ConnectionError):
        await desk.send(incoming())
    assert desk.record().state is State.ACCEPTED
    assert desk.shelf["m-1"].confirmed == set()


async def test_events_carry_the_callers_correlation_and_trace(desk: Desk) -> None:
    await desk.take(
        incoming(
            correlation_id="c-1",
            headers={Header.TRACEPARENT: TRACE},
        )
    )
    (event,) = desk.publisher.events
    assert event.correlation_id == "c-1"
    assert event.headers == {
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    }


async def test_what_failed_is_announced_before_its_body_is_dead(desk: Desk) -> None:
    desk.target.outcomes = [Refused("403", "invalid number")]
    assert await desk.take() is ACK
    assert desk.publisher.order == ["sms.failed", "dead"]
    reason, headers = desk.publisher.dead_letters[0]
    assert (reason, headers[Header.ATTEMPTS]) == ("failed: invalid number", 1)


async def test_what_is_held_is_no_dead_letter(desk: Desk) -> None:
    desk.target.outcomes = [MAYBE]
    await desk.take(incoming(queue=Queue.BULK))
    assert desk.publisher.order == ["sms.unknown"]


async def test_a_message_that_comes_too_late_expires(desk: Desk) -> None:
    ended = (desk.clock.now() - timedelta(seconds=1)).isoformat()
    assert await desk.take(incoming(fields={"expiresAt": ended})) is ACK
    assert desk.publisher.order == ["sms.expired", "dead"]
    assert (desk.record().state, desk.calls) == (State.EXPIRED, 0)


async def test_an_opted_out_recipient_is_rejected(desk: Desk) -> None:
    await desk.suppressed.opt_out(desk.message().recipient)
    assert await desk.take() is ACK
    assert desk.publisher.order == ["sms.rejected", "dead"]
    assert (desk.record().state, desk.calls) == (State.REJECTED, 0)


async def test_a_drain_hands_back_what_was_not_begun(desk: Desk) -> None:
    desk.draining = True
    assert await desk.take() is REQUEUE
    assert (desk.shelf, desk.publisher.order) == ({}, [])


async def test_with_every_breaker_open_the_lane_pauses_and_the_message_is_parked(
    desk: Desk,
) -> None:
    desk.target.is_open = desk.legacy.is_open = True
    assert await desk.take() is ACK
    assert desk.lanes.pauses == [(Lane.TRANSACTIONAL, 7.0)]
    ((tier, headers),) = desk.publisher.parked
    assert (tier, Header.ROUND in headers, desk.shelf) == ("5s", False, {})
    desk.target.is_open = False
    assert await desk.take(desk.copy()) is ACK
    assert desk.publisher.names == ["sms.sent"]


async def test_with_nobody_taking_more_the_lane_pauses_and_the_message_is_parked(
    desk: Desk,
) -> None:
    desk.target.busy_s = desk.legacy.busy_s = 5.0
    assert await desk.take() is ACK
    assert desk.lanes.pauses == [(Lane.TRANSACTIONAL, 5.0)]
    ((tier, headers),) = desk.publisher.parked
    assert (tier, Header.ROUND in headers, desk.shelf) == ("5s", False, {})
    desk.target.busy_s = 0.0
    assert await desk.take(desk.copy()) is ACK
    assert desk.publisher.names == ["sms.sent"]


async def test_what_waits_for_a_busy_fallback_comes_back_in_the_first_tier(desk: Desk) -> None:
    desk.target.outcomes, desk.legacy.busy_s = [SICK], 5.0
    assert await desk.take() is ACK
    assert (desk.publisher.order, desk.lanes.pauses) == (["park 5s"], [])
    desk.target.is_open, desk.legacy.busy_s = True, 0.0
    assert await desk.take(desk.copy()) is ACK
    assert (desk.publisher.names, desk.record().state) == (["sms.sent"], State.ACCEPTED)


async def test_who_is_killed_at_a_fallback_it_waits_for_leaves_no_unknown(desk: Desk) -> None:
    async def killed() -> None:
        raise asyncio.CancelledError

    desk.target.outcomes, desk.legacy.waiting = [SICK], killed
    with pytest.raises(asyncio.CancelledError):
        await desk.send(incoming())
    desk.clock.advance(desk.LEASE_S + 1)
    other = Desk(shelf=desk.shelf)
    other.clock.advance(desk.LEASE_S + 1)
    other.target.is_open = True
    assert await other.take(REDELIVERED) is ACK
    assert await other.take(other.copy()) is ACK
    assert (other.publisher.names, other.calls) == (["sms.sent"], 1)


async def test_a_drain_after_a_proof_parks_the_copy_and_loses_nothing(desk: Desk) -> None:
    async def drain() -> None:
        desk.draining = True

    desk.target.outcomes, desk.target.during = [SICK], drain
    assert await desk.take(incoming(queue=Queue.BULK)) is ACK
    assert (desk.publisher.order, desk.calls) == (["park 5s"], 1)
    other = Desk(shelf=desk.shelf)
    assert await other.take(replace(desk.copy(), queue=Queue.BULK)) is ACK
    assert other.publisher.names == ["sms.sent"]


async def test_a_resend_for_which_everybody_is_busy_is_made_by_a_later_copy(desk: Desk) -> None:
    desk.target.outcomes, desk.legacy.busy_s = [MAYBE], 5.0
    assert await desk.take() is ACK
    assert desk.publisher.order == ["park 5s"]
    desk.legacy.busy_s = 0.0
    assert await desk.take(desk.copy()) is ACK
    assert desk.publisher.names == ["sms.unknown", "sms.sent"]
    assert desk.publisher.body()["possibleDuplicate"] is True
    assert desk.calls == 2


@pytest.fixture
def probing() -> Desk:
    """Everything goes to the target, and the phone of these tests is our own."""
    desk = Desk(percentage=100)
    desk.decode_by(own_numbers=lambda: {NUMBER})
    return desk


PROBE = {"messageType": "Validation", "metadata": {"ValidationProvider": "legacy"}}


# --- probes ------------------------------------------------------------------------------------


async def test_a_probe_goes_to_its_provider_marked_and_counted_apart(probing: Desk) -> None:
    assert await probing.take(incoming(fields=PROBE)) is ACK
    assert (len(probing.legacy.sent), len(probing.target.sent)) == (1, 0)
    assert probing.publisher.body()["validation"] is True
    assert probing.record().probe is Role.LEGACY
    (measured,) = probing.meter.attempts
    assert (measured.probe, measured.eligible, measured.fallback) == (True, False, False)


async def test_what_is_no_probe_has_no_mark(desk: Desk) -> None:
    await desk.take(incoming(fields=PROBE))
    assert "validation" not in desk.publisher.body()
    assert not desk.meter.attempts[0].probe
    assert len(desk.target.sent) == 1


async def test_a_probe_is_tried_once_at_its_provider_and_nobody_keeps_it(probing: Desk) -> None:
    probing.legacy.outcomes = [SICK]
    assert await probing.take(incoming(fields=PROBE)) is ACK
    assert (probing.calls, probing.record().state) == (1, State.FAILED)
    assert probing.publisher.names == ["sms.failed"]
    assert probing.publisher.body()["validation"] is True
    assert (probing.publisher.parked, probing.publisher.dead_letters) == ([], [])


async def test_a_probe_that_finds_the_breaker_open_fails_and_holds_up_nobody(
    probing: Desk,
) -> None:
    probing.legacy.is_open = True
    assert await probing.take(incoming(fields=PROBE)) is ACK
    assert (probing.calls, probing.lanes.pauses, probing.publisher.parked) == (0, [], [])
    assert probing.meter.probes_passed_over == ["old"]
    assert probing.publisher.body()["reason"] == "validation: the breaker of legacy is open"


async def test_a_probe_of_who_left_service_meanwhile_ends_unsent(probing: Desk) -> None:
    probing.snapshots.current = snapshot(100, legacy_enabled=False)
    assert await probing.take(incoming(fields=PROBE)) is ACK
    assert (probing.calls, probing.publisher.names) == (0, ["sms.failed"])
    assert probing.publisher.body()["reason"] == "validation: legacy is not in service"


async def test_a_probe_that_may_have_left_is_held_and_goes_to_nobody_else(probing: Desk) -> None:
    probing.legacy.outcomes = [MAYBE]
    assert await probing.take(incoming(fields=PROBE)) is ACK
    assert (probing.calls, probing.publisher.names) == (1, ["sms.unknown"])
    assert await probing.take(incoming(fields=PROBE, redelivered=True)) is ACK
    assert (probing.calls, probing.record().state) == (1, State.UNKNOWN)


async def test_a_probe_stays_one_when_its_number_is_no_longer_ours(probing: Desk) -> None:
    await probing.leave_submitting(probe=Role.LEGACY, message_type="Validation")
    probing.clock.advance(probing.LEASE_S + 1)
    probing.decode_by(own_numbers=frozenset)
    assert await probing.take(incoming(fields=PROBE, redelivered=True)) is ACK
    assert probing.publisher.body()["validation"] is True
    assert len(probing.target.sent) == 0
