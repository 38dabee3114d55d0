"""The life of a message: what each delivery does with what it finds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts.names import Header, Queue
from tests.support.fakes import (
    BULK,
    KEY,
    NUMBER,
    Harness,
    Lanes,
    Publisher,
    deaths,
    incoming,
    snapshot,
)
from worker.domain.messages.message import Attempt, Lane, OnUnknown, State
from worker.domain.messages.outcome import Accepted, Blame, NotSent, Refused, Unknown
from worker.domain.messages.writes import Finished
from worker.domain.migration.phases import Phase, Role
from worker.handlers import message_events
from worker.handlers.copies import proved
from worker.handlers.decode import CommandDecoder
from worker.handlers.lost import LostHandler
from worker.handlers.message_events import Announcer
from worker.handlers.running import Running
from worker.handlers.send import SendHandler
from worker.handlers.settle import Settler
from worker.numbers import normaliser
from worker.ports.broker import Incoming, Settlement

SICK = NotSent(Blame.PROVIDER, "503", "unavailable")
MAYBE = Unknown("timeout", "no answer")
ACK, REQUEUE = Settlement.ACK, Settlement.REQUEUE

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Desk(Harness):
    """The whole handler over scripted providers and records in memory."""

    def __init__(self, percentage: int = 100, **shared: Any) -> None:
        super().__init__(percentage, **shared)
        self.publisher = Publisher()
        self.lanes = Lanes()
        decoder = CommandDecoder(
            normalise=normaliser("ZM", frozenset({"ZM"}), strict=True),
            key=KEY,
            life_s={Lane.TRANSACTIONAL: 600, Lane.BULK: 86_400},
            policy={"Otp": OnUnknown.HOLD},
        )
        announcer = Announcer(self.publisher, self.messages)
        self.settler = Settler(decoder, self.messages, announcer, self.publisher, self.clock)
        self.send = SendHandler(self.messages, self.hybrid, self.settler, self.lanes, self.clock)

    def decode_by(self, **changes: Any) -> None:
        """Change how commands are decoded from now on."""
        decoder = replace(self.settler.decoder, **changes)
        self.settler = replace(self.settler, decoder=decoder)
        self.send = replace(self.send, settler=self.settler)

    async def take(self, delivery: Incoming | None = None) -> Settlement:
        settlement = await self.send(delivery or incoming())
        assert self.idle
        assert "m-1" not in self.send.running
        return settlement

    def sick(self, rounds: int = 1) -> None:
        self.target.outcomes, self.legacy.outcomes = [SICK] * rounds, [SICK] * rounds

    def copy(self, index: int = -1) -> Incoming:
        """The parked copy, as it comes back."""
        return incoming(headers=self.publisher.parked[index][1])

    async def leave_submitting(self, **changes: Any) -> None:
        """What a process leaves behind that is in the middle of its first attempt, or died."""
        theirs = self.owned_by("theirs")
        attempt = Attempt(epoch=1, provider="at", version=1, reason="percentage")
        await theirs.claim(self.message(**changes), attempt)

    @property
    def calls(self) -> int:
        return len(self.target.sent) + len(self.legacy.sent)


@pytest.fixture
def desk() -> Desk:
    return Desk()


REDELIVERED = incoming(redelivered=True)


# --- begin -----------------------------------------------------------------------------------


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

    desk.messages.look = look  # type: ignore[method-assign]
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


# --- waiting ---------------------------------------------------------------------------------


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


# --- submitting ------------------------------------------------------------------------------


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


async def test_a_resend_that_is_unknown_too_is_still_told(desk: Desk) -> None:
    await desk.leave_submitting()
    desk.clock.advance(desk.LEASE_S + 1)
    desk.legacy.outcomes = [MAYBE]
    await desk.take(REDELIVERED)
    assert desk.publisher.names == ["sms.unknown"]


# --- settled ---------------------------------------------------------------------------------


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


# --- join ------------------------------------------------------------------------------------


async def test_two_deliveries_at_once_in_one_process_send_once(desk: Desk) -> None:
    answer = asyncio.Event()
    desk.target.during = answer.wait  # type: ignore[assignment]
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


# --- refusals --------------------------------------------------------------------------------


async def test_what_cannot_be_understood_is_rejected_and_dead(desk: Desk) -> None:
    assert await desk.take(incoming(fields={"to": "0211234567"})) is ACK
    assert desk.publisher.order == ["sms.rejected", "dead"]
    assert "mobile" in desk.publisher.body()["reason"]
    assert desk.record().state is State.REJECTED


async def test_a_rejection_is_told_again_with_the_same_id(desk: Desk) -> None:
    bad = incoming(fields={"branchId": "north"}, redelivered=True)
    await desk.take(bad)
    desk.clock.advance(30)
    await desk.take(bad)
    first, second = desk.publisher.events
    assert (first.id, first.body) == (second.id, second.body)


async def test_a_bad_body_under_a_used_id_leaves_the_first_alone(desk: Desk) -> None:
    await desk.take()
    await desk.take(incoming(fields={"to": "abc"}))
    assert desk.publisher.order == ["sms.sent", "dead"]
    assert desk.record().state is State.ACCEPTED


async def test_bytes_without_an_id_are_dead_only(desk: Desk) -> None:
    assert await desk.take(incoming(body=b"not json", message_id=None)) is ACK
    assert desk.publisher.order == ["dead"]
    assert desk.shelf == {}


# --- given up, and lost ------------------------------------------------------------------------


async def test_giving_up_a_new_message_fails_it(desk: Desk) -> None:
    assert await desk.settler.give_up(incoming(), "our own error: KeyError") is ACK
    assert desk.publisher.order == ["sms.failed", "dead"]
    assert desk.publisher.body()["reason"] == "our own error: KeyError"


async def test_giving_up_ends_what_waits(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    await desk.settler.give_up(REDELIVERED, "our own error: KeyError")
    assert desk.record().state is State.FAILED
    await desk.take(desk.copy())  # the copy in the tier finds the end
    assert desk.publisher.names == ["sms.failed", "sms.failed"]
    assert desk.calls == 2


async def test_giving_up_touches_nothing_that_is_in_hand(desk: Desk) -> None:
    await desk.leave_submitting()
    await desk.settler.give_up(incoming(), "our own error: KeyError")
    assert desk.publisher.order == ["dead"]
    assert desk.record().state is State.SUBMITTING


async def test_giving_up_another_content_leaves_the_first_alone(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    await desk.settler.give_up(incoming(fields={"text": "other"}), "our own error: KeyError")
    assert desk.record().state is State.WAITING
    assert desk.publisher.events == []


async def test_giving_up_what_nobody_understands_rejects_it(desk: Desk) -> None:
    await desk.settler.give_up(incoming(fields={"to": "abc"}), "our own error: KeyError")
    assert desk.publisher.order == ["sms.rejected", "dead"]


def lost(why: str, **changes: Any) -> Incoming:
    headers = {**changes.pop("headers", {}), **deaths((Queue.TRANSACTIONAL.value, why))}
    return incoming(queue="sms.lost", headers=headers, **changes)


@pytest.mark.parametrize(
    ("why", "name"), [("expired", "sms.expired"), ("delivery_limit", "sms.failed")]
)
async def test_what_the_broker_took_out_unseen_ends_with_an_event(
    desk: Desk, why: str, name: str
) -> None:
    assert await LostHandler(desk.settler)(lost(why)) is ACK
    assert desk.publisher.order == [name, "dead"]
    assert desk.publisher.body()["lane"] == "transactional"


async def test_what_the_broker_took_out_is_left_to_whoever_holds_it(desk: Desk) -> None:
    await desk.take()
    await LostHandler(desk.settler)(lost("delivery_limit"))
    assert desk.publisher.order == ["sms.sent", "dead"]
    assert desk.record().state is State.ACCEPTED


async def test_an_old_delivery_that_is_lost_leaves_the_copy_alone(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    await LostHandler(desk.settler)(lost("delivery_limit"))
    assert desk.record().state is State.WAITING


@pytest.mark.parametrize("why", ["expired", "delivery_limit"])
async def test_a_lost_copy_ends_its_message_since_nobody_else_will(desk: Desk, why: str) -> None:
    desk.sick()
    await desk.take()
    parked = desk.publisher.parked[0][1]
    died = deaths((Queue.TRANSACTIONAL.value, why), ("sms.retry.5s", "expired"))
    await LostHandler(desk.settler)(incoming(queue="sms.lost", headers={**parked, **died}))
    assert desk.record().state is State.FAILED
    assert desk.publisher.order[-2:] == ["sms.failed", "dead"]
    assert why in desk.publisher.body()["reason"]


async def test_a_copy_never_called_and_lost_by_the_delivery_limit_has_failed_in_its_lane(
    desk: Desk,
) -> None:
    desk.target.is_open = desk.legacy.is_open = True
    await desk.take()
    died = deaths((Queue.TRANSACTIONAL.value, "delivery_limit"), ("sms.retry.5s", "expired"))
    copy = {**desk.publisher.parked[0][1], **died}
    assert await LostHandler(desk.settler)(incoming(queue="sms.lost", headers=copy)) is ACK
    assert desk.publisher.names == ["sms.failed"]
    assert desk.publisher.body()["lane"] == "transactional"


@pytest.mark.parametrize("fields", [{}, {"to": "abc"}, {"text": "other"}])
@pytest.mark.parametrize("forged", [{}, {Header.SEAL: "0" * 64}, {Header.SEAL: "\ud800"}])
async def test_what_a_publisher_let_expire_ends_no_message_that_waits_for_a_copy(
    desk: Desk, fields: dict[str, str], forged: dict[str, object]
) -> None:
    desk.sick()
    await desk.take()
    for round_ in range(1, 4):
        headers = {Header.ROUND: round_, **forged}
        await LostHandler(desk.settler)(lost("expired", fields=fields, headers=headers))
    assert desk.record().state is State.WAITING
    assert desk.publisher.names == []


@pytest.mark.parametrize("other", [{"message_id": "m-2"}, {"body": b"{}"}])
async def test_a_seal_proves_the_round_of_its_own_message_alone(
    desk: Desk, other: dict[str, Any]
) -> None:
    desk.sick()
    await desk.take()
    copy = desk.copy()
    assert Header.ROUND in proved((KEY,), copy).headers
    assert Header.ROUND not in proved((KEY,), replace(copy, **other)).headers


async def test_a_lost_message_of_no_known_lane_counts_as_bulk(desk: Desk) -> None:
    await LostHandler(desk.settler)(incoming(queue="sms.lost"))
    assert desk.publisher.body()["lane"] == "bulk"
    assert "unknown reason" in desk.publisher.body()["reason"]


# --- an end that loses ---------------------------------------------------------------------------


async def test_an_expiry_that_loses_to_another_process_follows_it(desk: Desk) -> None:
    ended = (desk.clock.now() + timedelta(seconds=1)).isoformat()
    delivery = incoming(fields={"expiresAt": ended})
    real = desk.messages.close_new

    async def slow(closing: Any) -> Any:
        theirs = desk.owned_by("theirs")
        message = replace(closing.message)
        attempt = Attempt(epoch=1, provider="at", version=1, reason="percentage")
        lease = await theirs.claim(message, attempt)
        sent = message_events.sent(
            message, attempt, Finished(Accepted(), 1.0), desk.clock.now(), possible_duplicate=False
        )
        await theirs.settle(
            lease, State.ACCEPTED, Finished(Accepted(), 1.0), (sent,), lane=Lane.TRANSACTIONAL
        )
        return await real(closing)

    desk.messages.close_new = slow  # type: ignore[method-assign]
    desk.clock.advance(2)
    assert await desk.take(delivery) is ACK
    assert desk.publisher.names == ["sms.sent"]


async def test_no_event_and_no_dead_letter_says_number_or_text(desk: Desk) -> None:
    desk.target.outcomes = [Refused("403", "invalid number")]
    await desk.take()
    said = json.dumps([event.body.decode() for event in desk.publisher.events])
    said += repr(desk.publisher.dead_letters) + repr(desk.record())
    assert "977123456" not in said
    assert "Your code" not in said


# --- probes ----------------------------------------------------------------------------------


@pytest.fixture
def probing() -> Desk:
    """Everything goes to the target, and the phone of these tests is our own."""
    desk = Desk(percentage=100)
    desk.decode_by(own_numbers=lambda: {NUMBER})
    return desk


PROBE = {"messageType": "Validation", "metadata": {"ValidationProvider": "legacy"}}


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
