"""Refusals, and messages that are given up or that the broker lost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contracts.names import Header, Queue
from tests.support.fakes import KEY, deaths, incoming
from tests.support.send_desk import ACK, REDELIVERED, Desk
from worker.domain.messages.message import Attempt, Lane, State
from worker.domain.messages.outcome import Accepted, Refused
from worker.domain.messages.writes import Finished
from worker.handlers import message_events
from worker.handlers.copies import proved
from worker.handlers.lost import LostHandler

if TYPE_CHECKING:
    from worker.ports.broker import Incoming


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- refusals ----------------------------------------------------------------------------------


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


async def test_a_lost_copy_ends_its_message_whose_id_is_in_the_body_alone(desk: Desk) -> None:
    desk.sick()
    await desk.take(incoming(message_id=None))
    parked = desk.publisher.parked[0][1]
    died = deaths((Queue.TRANSACTIONAL.value, "delivery_limit"), ("sms.retry.5s", "expired"))
    copy = incoming(queue="sms.lost", message_id="m-1", headers={**parked, **died})
    await LostHandler(desk.settler)(copy)
    assert desk.record().state is State.FAILED
    assert desk.publisher.order[-2:] == ["sms.failed", "dead"]


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


# --- an end that loses -------------------------------------------------------------------------


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

    desk.messages.close_new = slow
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
