"""How messages end that nobody calls a provider for any more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from contracts.names import Header, Queue
from tests.support.fakes import NUMBER, HandClock, incoming, message, names
from tests.support.send_desk import ACK, Desk
from worker.domain.messages.message import Attempt, Record, Result, State
from worker.handlers import message_events
from worker.handlers.ending import end_of, too_late
from worker.handlers.lost import LostHandler
from worker.numbers import normaliser
from worker.store.memory import Kept

if TYPE_CHECKING:
    from worker.ports.broker import Incoming

CLOCK = HandClock()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def waiting(*results: Result | None, **changes: Any) -> Record:
    asked = message(CLOCK)
    attempts = tuple(
        Attempt(epoch, "at", 1, "percentage", result=result)
        for epoch, result in enumerate(results, 1)
    )
    return Record(
        id=asked.id,
        fingerprint=asked.fingerprint,
        recipient=asked.recipient,
        lane=asked.lane,
        on_unknown=asked.on_unknown,
        state=State.WAITING,
        expires_at=asked.expires_at,
        round=1,
        epoch=len(attempts),
        attempts=attempts,
        **changes,
    )


# --- state and events --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "state", "name"),
    [
        ((), State.EXPIRED, "sms.expired"),
        ((Result.NOT_SENT,), State.FAILED, "sms.failed"),
        ((Result.NOT_SENT, Result.NOT_SENT), State.FAILED, "sms.failed"),
        ((Result.UNKNOWN,), State.UNKNOWN, "sms.unknown"),
        ((None, Result.NOT_SENT), State.UNKNOWN, "sms.unknown"),
    ],
)
def test_an_outlived_record_ends_by_what_is_known_of_its_attempts(
    results: tuple[Result | None, ...], state: State, name: str
) -> None:
    record = waiting(*results)
    found, events = end_of(record, *too_late(record), CLOCK.now())
    assert (found, names(events)) == (state, [name])


def test_an_unknown_that_was_told_is_not_told_again() -> None:
    record = waiting(Result.UNKNOWN)
    told = message_events.unknown(record, record.attempts[0], "gone", CLOCK.now())
    found = end_of(replace(record, events=(told,)), State.FAILED, "over", CLOCK.now())
    assert found == (State.UNKNOWN, ())


def test_what_a_provider_took_and_was_replayed_is_called_neither_failed_nor_unknown() -> None:
    record = waiting(Result.ACCEPTED, Result.NOT_SENT)
    assert end_of(record, State.FAILED, "over", CLOCK.now()) == (State.UNKNOWN, ())


# --- copies that a deploy made unreadable ---------------------------------------------------------


def redeploy(desk: Desk) -> None:
    """Numbers of this country are no longer allowed."""
    kenya = normaliser("KE", frozenset({"KE"}), strict=True)
    desk.decode_by(normalise=kenya)


async def test_a_copy_refused_after_a_deploy_ends_its_message_with_an_event(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    redeploy(desk)
    assert await desk.take(desk.copy()) is ACK
    assert desk.publisher.order[-2:] == ["sms.failed", "dead"]
    assert desk.record().state is State.FAILED
    assert desk.publisher.body()["attempts"] == 2
    assert NUMBER not in str(desk.publisher.body())


async def test_a_refused_copy_that_is_delivered_again_tells_the_same_again(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    redeploy(desk)
    await desk.take(desk.copy(0))
    await desk.take(replace(desk.copy(0), redelivered=True))
    first, second = desk.publisher.events
    assert (first.id, first.body) == (second.id, second.body)


async def test_a_refused_copy_of_what_was_never_called_is_rejected(desk: Desk) -> None:
    desk.shelf["m-1"] = Kept(waiting())
    redeploy(desk)
    await desk.take(copy(1))
    assert (desk.record().state, desk.publisher.names) == (State.REJECTED, ["sms.rejected"])
    assert desk.publisher.body()["recipient"] == "+260******456"


async def test_a_refused_copy_of_what_may_have_been_taken_stays_unknown(desk: Desk) -> None:
    desk.shelf["m-1"] = Kept(waiting(Result.UNKNOWN))
    redeploy(desk)
    await desk.take(copy(1))
    assert (desk.record().state, desk.publisher.names) == (State.UNKNOWN, ["sms.unknown"])


@pytest.mark.parametrize("round_", [0, 2])
async def test_a_refused_command_that_is_no_copy_leaves_what_waits_alone(
    desk: Desk, round_: int
) -> None:
    desk.shelf["m-1"] = Kept(waiting(Result.NOT_SENT))
    redeploy(desk)
    await desk.take(copy(round_))
    assert (desk.record().state, desk.publisher.order) == (State.WAITING, ["dead"])


async def test_a_refused_copy_of_what_was_sent_meanwhile_tells_nothing(desk: Desk) -> None:
    record = replace(waiting(Result.ACCEPTED), state=State.ACCEPTED)
    desk.shelf["m-1"] = Kept(record)
    redeploy(desk)
    await desk.take(copy(1))
    assert (desk.record().state, desk.publisher.order) == (State.ACCEPTED, ["dead"])


async def test_a_refused_copy_that_loses_to_another_end_tells_nothing(desk: Desk) -> None:
    desk.shelf["m-1"] = Kept(waiting(Result.NOT_SENT))
    redeploy(desk)
    real = desk.messages.close

    async def slow(record: Record, *ended: Any) -> Record | None:
        assert await real(record, State.FAILED, ()) is None
        return await real(record, *ended)

    desk.messages.close = slow
    await desk.take(copy(1))
    assert desk.publisher.order == ["dead"]


async def test_a_lost_copy_that_is_refused_ends_its_message_too(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    redeploy(desk)
    await LostHandler(desk.settler)(replace(desk.copy(), queue=Queue.LOST))
    assert desk.publisher.order[-2:] == ["sms.failed", "dead"]


async def test_a_copy_that_reads_otherwise_after_a_deploy_ends_its_message(desk: Desk) -> None:
    desk.sick()
    await desk.take()
    desk.decode_by(key=b"another key")
    assert await desk.take(desk.copy()) is ACK
    assert desk.publisher.order[-2:] == ["sms.failed", "dead"]
    assert "settings were changed" in desk.publisher.body()["reason"]
    assert desk.calls == 2


# --- a copy after its end -----------------------------------------------------------------------


async def test_a_copy_that_comes_after_its_end_was_told_tells_it_again_and_is_dead(
    desk: Desk,
) -> None:
    desk.sick()
    await desk.take()
    record = desk.record()
    state, events = end_of(record, *too_late(record), desk.clock.now())
    assert await desk.messages.close(record, state, events) is None
    await desk.take(desk.copy())
    assert desk.publisher.order[-2:] == ["sms.failed", "dead"]
    assert [event.id for event in desk.publisher.events] == [events[0].event_id]


def copy(round_: int) -> Incoming:
    return incoming(headers={Header.FIRST_AT: "2026-03-01T12:00:00+00:00", Header.ROUND: round_})
