"""The events of a message's life: built once, the same fact always with the same id."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from contracts.events import decode_event
from tests.support.fakes import BULK, HandClock, Harness, Publisher, message
from worker.domain.messages.message import Attempt, Delivery, State, StoredEvent
from worker.domain.messages.outcome import Accepted, Money, Unknown
from worker.domain.messages.receipts import DeliveryReport
from worker.domain.messages.writes import Finished
from worker.handlers import message_events
from worker.handlers.message_events import Announcer
from worker.ports.broker import Event, Unpublishable

CLOCK = HandClock()
MESSAGE = message(CLOCK, user_id="ann", branch_id=7, segments=2, **BULK)
ATTEMPT = Attempt(epoch=3, provider="at", version=1, reason="user override", resend=True)
TAKEN = Finished(Accepted("at-1", parts=4), 123.456, cost=Money(Decimal("0.0400"), "ZMW"))
REPORT = DeliveryReport("at", Delivery.DELIVERED, "Success", reason="ok", network_code="64501")


def body(event: StoredEvent) -> dict[str, Any]:
    return json.loads(event.body)


def sent(finished: Finished = TAKEN) -> StoredEvent:
    return message_events.sent(MESSAGE, ATTEMPT, finished, CLOCK.now(), possible_duplicate=True)


def test_sent_says_who_took_it_why_and_at_what_cost() -> None:
    said = body(sent())
    assert said["cost"] == {"amount": "0.0400", "currency": "ZMW"}
    expected = {
        "event": "sms.sent",
        "messageId": "m-1",
        "lane": "bulk",
        "recipient": "+260******456",
        "userId": "ann",
        "branchId": 7,
        "provider": "at",
        "attempt": 3,
        "providerMessageId": "at-1",
        "segments": 4,
        "possibleDuplicate": True,
        "reason": "user override",
        "durationMs": 123.5,
    }
    assert {name: said[name] for name in expected} == expected


def test_where_the_provider_counts_no_parts_ours_stand() -> None:
    assert body(sent(Finished(Accepted(), 1.0)))["segments"] == 2


def every_event() -> list[StoredEvent]:
    now = CLOCK.now()
    return [
        sent(),
        message_events.unknown(MESSAGE, ATTEMPT, "hung", now),
        message_events.failed(MESSAGE, "403", "bad", now, attempts=3, generation=2, provider="at"),
        message_events.expired(MESSAGE, "late", now, generation=2),
        message_events.rejected(MESSAGE, "opted out", ("a", "b"), now),
        message_events.rejected_unread("m-1", "not JSON", (), now),
        message_events.unreported(MESSAGE, ATTEMPT, now),
        *(
            message_events.delivery(
                MESSAGE, ATTEMPT, REPORT, now, delivered=each, matched="reference"
            )
            for each in (True, False)
        ),
    ]


@pytest.mark.parametrize("event", every_event(), ids=lambda event: event.name)
def test_an_event_is_what_the_contract_says(event: StoredEvent) -> None:
    read = decode_event(event.body.encode())
    assert (read.event, str(read.event_id), read.message_id) == (event.name, event.event_id, "m-1")


@pytest.mark.parametrize("event", every_event(), ids=lambda event: event.name)
def test_an_event_never_says_number_or_text(event: StoredEvent) -> None:
    assert MESSAGE.to not in event.body
    assert MESSAGE.text not in event.body


def test_the_same_fact_has_the_same_id_whenever_it_is_told() -> None:
    first = sent()
    CLOCK.advance(60)
    assert sent().event_id == first.event_id


def test_intents_count_by_epoch_and_ends_by_generation() -> None:
    ordinals = {event.name: event.ordinal for event in every_event()}
    assert (ordinals["sms.sent"], ordinals["sms.unknown"], ordinals["sms.unreported"]) == (3, 3, 3)
    assert (ordinals["sms.failed"], ordinals["sms.expired"]) == (2, 2)


@pytest.mark.parametrize(
    ("state", "name"),
    [
        (State.EXPIRED, "sms.expired"),
        (State.REJECTED, "sms.rejected"),
        (State.FAILED, "sms.failed"),
    ],
)
def test_an_end_without_another_call_has_its_event(state: State, name: str) -> None:
    found = message_events.closing(MESSAGE, state, "why", CLOCK.now(), attempts=2)
    assert (found.name, body(found)["reason"], found.ordinal) == (name, "why", 1)


def test_a_delivery_without_an_id_in_the_report_has_that_of_the_attempt() -> None:
    attempt = Attempt(1, "at", 1, "why", provider_message_id="at-1")
    found = message_events.delivery(
        MESSAGE, attempt, REPORT, CLOCK.now(), delivered=True, matched="recipient"
    )
    assert body(found)["providerMessageId"] == "at-1"
    assert body(found)["matchedBy"] == "recipient"


def test_sent_without_an_acceptance_is_sent_without_details() -> None:
    assert "providerMessageId" not in body(sent(Finished(Unknown("x", "y"), 0.0)))


async def test_events_go_out_in_order_and_are_marked_when_all_are_confirmed() -> None:
    bench, publisher = Harness(), Publisher()
    await bench.messages.claim(bench.message(), ATTEMPT)
    announcer = Announcer(publisher, bench.messages)
    events = tuple(every_event()[:2])
    await announcer.announce("m-1", events, "c-1")
    assert publisher.names == ["sms.sent", "sms.unknown"]
    assert [event.id for event in publisher.events] == [event.event_id for event in events]
    assert [event.body for event in publisher.events] == [event.body.encode() for event in events]
    assert bench.shelf["m-1"].confirmed == {event.event_id for event in events}


async def test_nothing_is_marked_before_all_are_confirmed() -> None:
    bench, publisher = Harness(), Publisher()
    await bench.messages.claim(bench.message(), ATTEMPT)
    publisher.failure = ConnectionError("gone")
    with pytest.raises(ConnectionError):
        await Announcer(publisher, bench.messages).announce("m-1", (sent(),), None)
    assert bench.shelf["m-1"].confirmed == set()


async def test_an_event_that_the_broker_never_takes_stays_and_holds_up_no_other() -> None:
    bench, publisher = Harness(), Publisher()
    await bench.messages.claim(bench.message(), ATTEMPT)
    bad, good = every_event()[:2]
    publish = publisher.event

    async def event(given: Event) -> None:
        if given.id == bad.event_id:
            raise Unpublishable(given.id)
        await publish(given)

    publisher.event = event
    await Announcer(publisher, bench.messages).announce("m-1", (bad, good), None)
    assert publisher.names == [good.name]
    assert bench.shelf["m-1"].confirmed == {good.event_id}


async def test_without_events_nothing_is_said() -> None:
    bench, publisher = Harness(), Publisher()
    await Announcer(publisher, bench.messages).announce("m-1", (), None)
    assert publisher.order == []
