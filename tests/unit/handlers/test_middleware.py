"""What wraps every handler."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from contracts.names import Header
from tests.support.fakes import HandClock, Publisher, incoming
from worker.handlers.middleware import bounded_errors, logged, traced
from worker.handlers.retry_tiers import TIERS
from worker.ports.broker import Incoming, Settlement

if TYPE_CHECKING:
    from collections.abc import Iterator


class Failing:
    """A handler that fails as told, and what it gives up."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.given_up: list[str] = []

    async def __call__(self, _: Incoming) -> Settlement:
        if self.errors:
            raise self.errors.pop(0)
        return Settlement.REQUEUE

    async def give_up(self, _: Incoming, reason: str) -> Settlement:
        self.given_up.append(reason)
        return Settlement.ACK


def bounded(handler: Failing, publisher: Publisher) -> Any:
    return bounded_errors(handler, give_up=handler.give_up, publisher=publisher, clock=HandClock())


async def test_what_succeeds_is_left_alone() -> None:
    publisher = Publisher()
    assert await bounded(Failing(), publisher)(incoming()) is Settlement.REQUEUE
    assert publisher.order == []


async def test_our_own_errors_go_round_the_tiers_and_are_given_up_by_name() -> None:
    publisher, handler = Publisher(), Failing(*(KeyError("+260977123456") for _ in range(9)))
    delivery = incoming(headers={Header.ROUND: 3})
    wrapped = bounded(handler, publisher)
    for _ in TIERS:
        assert await wrapped(delivery) is Settlement.ACK
        delivery = incoming(headers=publisher.parked[-1][1])
    assert [tier for tier, _ in publisher.parked] == list(TIERS)
    assert delivery.headers[Header.ROUND] == 3
    assert handler.given_up == []
    await wrapped(delivery)
    assert handler.given_up == ["our own error: KeyError"]
    assert len(publisher.parked) == len(TIERS)


async def test_a_copy_after_an_error_is_as_old_as_before() -> None:
    publisher = Publisher()
    first = "2026-01-01T00:00:00+00:00"
    delivery = incoming(headers={Header.FIRST_AT: first})
    await bounded(Failing(ValueError()), publisher)(delivery)
    assert publisher.parked[0][1][Header.FIRST_AT] == first


async def test_a_publisher_that_fails_is_the_consumers_trouble() -> None:
    publisher = Publisher()
    publisher.failure = ConnectionError("gone")
    with pytest.raises(ConnectionError):
        await bounded(Failing(ValueError()), publisher)(incoming())


class Spans:
    """A tracer that answers with a span of its own."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str | None, str, str, bool]] = []

    @contextmanager
    def process(
        self, caller: str | None, queue: str, message_id: str, *, delayed: bool = False
    ) -> Iterator[str | None]:
        self.asked.append((caller, queue, message_id, delayed))
        yield self.answer


async def seen_by(tracer: Spans, delivery: Incoming) -> Incoming:
    seen: list[Incoming] = []

    async def handler(given: Incoming) -> Settlement:
        seen.append(given)
        return Settlement.ACK

    assert await traced(handler, tracer)(delivery) is Settlement.ACK
    return seen[0]


async def test_a_handler_goes_on_with_the_span_of_its_own_delivery() -> None:
    tracer = Spans("ours")
    seen = await seen_by(tracer, incoming(headers={Header.TRACEPARENT: "theirs", "a": 1}))
    assert seen.headers == {Header.TRACEPARENT: "ours", "a": 1}
    assert tracer.asked == [("theirs", "sms.send.transactional", "m-1", False)]


async def test_where_nobody_samples_the_delivery_is_handed_through() -> None:
    delivery = incoming()
    assert await seen_by(Spans(None), delivery) is delivery


async def test_a_copy_from_a_tier_is_linked_not_continued() -> None:
    tracer = Spans("ours")
    await seen_by(tracer, incoming(headers={Header.FIRST_AT: "x"}, message_id=None))
    assert tracer.asked == [(None, "sms.send.transactional", "", True)]


async def test_log_lines_say_which_delivery_they_are_about() -> None:
    bound: list[dict[str, Any]] = []

    async def handler(_: Incoming) -> Settlement:
        bound.append(structlog.contextvars.get_contextvars())
        return Settlement.ACK

    await asyncio.create_task(logged(handler)(incoming()))  # as the consumer runs it
    assert bound == [{"message_id": "m-1", "queue": "sms.send.transactional"}]
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"},
        ),
        ("what is no trace", {}),
    ],
)
async def test_log_lines_carry_the_trace_of_their_delivery(
    traceparent: str, trace: dict[str, str]
) -> None:
    bound: list[dict[str, Any]] = []

    async def handler(_: Incoming) -> Settlement:
        bound.append(structlog.contextvars.get_contextvars())
        return Settlement.ACK

    delivery = incoming(headers={Header.TRACEPARENT: traceparent})
    await asyncio.create_task(logged(handler)(delivery))
    assert bound == [{"message_id": "m-1", "queue": "sms.send.transactional", **trace}]


@pytest.mark.parametrize("name", ["Your code is 4711\n", "naïve", "x" * 129, " ", ""])
async def test_what_is_no_message_id_is_bound_to_no_line(name: str) -> None:
    bound: list[dict[str, Any]] = []

    async def handler(_: Incoming) -> Settlement:
        bound.append(structlog.contextvars.get_contextvars())
        return Settlement.ACK

    await asyncio.create_task(logged(handler)(incoming(message_id=name)))
    assert [each["message_id"] for each in bound] == [None]
