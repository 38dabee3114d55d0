"""What a call came to, and what stands in the outbox, on both stores."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.integration.records_desk import (
    MAYBE,
    REFUSED,
    SICK,
    TAKEN,
    Desk,
    T,
    attempt,
    claimed,
    desk,
    event,
    looked,
    on_mongod,
    on_simulated,
    unknown,
    waiting,
)
from tests.support.waiting import until_equal
from worker.domain.messages.message import Lease, Record, Result, State
from worker.domain.messages.outcome import Blame, NotSent
from worker.domain.messages.writes import Finished

if TYPE_CHECKING:
    from worker.ports.messages import Messages

__all__ = ["desk", "on_mongod", "on_simulated"]  # fixtures


# --- settle and wait ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "finished", "result"),
    [
        (State.ACCEPTED, TAKEN, Result.ACCEPTED),
        (State.FAILED, REFUSED, Result.REFUSED),
        (State.FAILED, SICK, Result.NOT_SENT),
        (State.UNKNOWN, MAYBE, Result.UNKNOWN),
    ],
)
async def test_an_outcome_stands_with_its_events(
    desk: Desk, state: State, finished: Finished, result: Result
) -> None:
    held = await claimed(desk)
    assert await desk.ours.settle(held, state, finished, (event(), event("b")), lane=T) is None
    record = await looked(desk)
    assert (record.state, record.attempts[0].result) == (state, result)
    assert record.events == (event(), event("b"))
    pid = "at-1" if finished is TAKEN else None
    assert record.attempts[0].provider_message_id == pid


async def test_an_outcome_is_written_once(desk: Desk) -> None:
    held = await claimed(desk)
    await desk.ours.settle(held, State.ACCEPTED, TAKEN, (event(),), lane=T)
    stands = await desk.ours.settle(held, State.FAILED, REFUSED, (event("b"),), lane=T)
    assert stands is not None
    assert (stands.state, stands.events) == (State.ACCEPTED, (event(),))


async def test_only_the_owner_settles(desk: Desk) -> None:
    held = replace(await claimed(desk), owner="theirs")
    stands = await desk.theirs.settle(held, State.ACCEPTED, TAKEN, (), lane=T)
    assert stands is not None
    assert stands.state is State.SUBMITTING


async def test_only_the_present_epoch_settles(desk: Desk) -> None:
    held = await claimed(desk)
    await desk.ours.intend(held, attempt(2, "old"), SICK, lane=T)
    assert await desk.ours.settle(held, State.ACCEPTED, TAKEN, (), lane=T) is not None
    assert (await looked(desk)).state is State.SUBMITTING


async def test_what_was_called_unknown_is_not_called_so_again(desk: Desk) -> None:
    held, called = await unknown(desk)
    again = await desk.ours.settle(held, State.UNKNOWN, MAYBE, (event("sms.unknown"),), lane=T)
    assert again == called
    assert (await looked(desk)).events == called.events


@pytest.mark.parametrize("state", [State.ACCEPTED, State.FAILED])
async def test_the_holder_settles_what_was_called_unknown(desk: Desk, state: State) -> None:
    held, _ = await unknown(desk)
    assert await desk.ours.settle(held, state, TAKEN, (event(),), lane=T) is None
    record = await looked(desk)
    assert (record.state, record.events) == (state, (event("sms.unknown"), event()))


@pytest.mark.parametrize(("counted", "failed"), [(True, 1), (False, 0)])
async def test_waiting_raises_the_round_and_counts_if_told(
    desk: Desk,
    counted: bool,  # noqa: FBT001 - a parameter
    failed: int,
) -> None:
    held = await claimed(desk)
    assert await desk.ours.wait(held, SICK, counted=counted, lane=T) == 1
    record = await looked(desk)
    assert (record.state, record.round, record.failed_rounds) == (State.WAITING, 1, failed)


async def test_waiting_again_goes_on_counting(desk: Desk) -> None:
    held = await desk.ours.intend(await waiting(desk), attempt(2), lane=T)
    assert isinstance(held, Lease)
    assert await desk.ours.wait(held, SICK, counted=True, lane=T) == 2
    record = await looked(desk)
    assert (record.round, record.failed_rounds) == (2, 2)


@pytest.mark.parametrize("blame", Blame)
async def test_a_record_tells_who_refused_it_by_its_own_fault(desk: Desk, blame: Blame) -> None:
    refused = Finished(NotSent(blame, "404", "no route"), 20.0)
    held = await desk.ours.intend(await claimed(desk), attempt(2, "old"), refused, lane=T)
    assert isinstance(held, Lease)
    await desk.ours.wait(held, SICK, counted=True, lane=T)
    own = blame in {Blame.RECIPIENT, Blame.MESSAGE}
    assert (await looked(desk)).refused_by() == ({"at"} if own else set())


async def test_an_intent_never_acted_on_is_proved_not_sent(desk: Desk) -> None:
    await desk.ours.wait(await claimed(desk), None, counted=False, lane=T)
    assert (await looked(desk)).attempts[0].result is Result.NOT_SENT


async def test_what_was_called_unknown_may_still_wait_upon_proof(desk: Desk) -> None:
    held, _ = await unknown(desk)
    assert await desk.ours.wait(held, SICK, counted=True, lane=T) == 1
    assert (await looked(desk)).state is State.WAITING


# --- close, declare, late ----------------------------------------------------------------------


async def test_a_record_that_waits_can_be_ended(desk: Desk) -> None:
    record = await waiting(desk)
    assert await desk.theirs.close(record, State.FAILED, (event("sms.failed"),)) is None
    found = await looked(desk)
    assert (found.state, found.events) == (State.FAILED, (event("sms.failed"),))


async def test_an_end_at_another_round_or_state_loses(desk: Desk) -> None:
    record = await waiting(desk)
    stands = await desk.theirs.close(replace(record, round=9), State.FAILED, ())
    assert stands is not None
    await desk.theirs.intend(record, attempt(2), lane=T)
    stands = await desk.ours.close(record, State.FAILED, (event(),))
    assert stands is not None
    assert (stands.state, stands.events) == (State.SUBMITTING, ())


async def test_of_an_end_and_a_further_round_one_wins(desk: Desk) -> None:
    record = await waiting(desk)
    ended, went_on = await asyncio.gather(
        desk.ours.close(record, State.FAILED, (event(),)),
        desk.theirs.intend(record, attempt(2), lane=T),
    )
    assert (ended is None) is isinstance(went_on, Record)


async def test_a_living_lease_cannot_be_called_unknown(desk: Desk) -> None:
    await claimed(desk)
    stands = await desk.theirs.declare_unknown(await looked(desk), (event(),))
    assert stands is not None
    assert (stands.state, stands.lease_alive, stands.events) == (State.SUBMITTING, True, ())


async def test_a_dead_lease_is_called_unknown_once(desk: Desk) -> None:
    _, record = await unknown(desk)
    assert (record.state, record.events) == (State.UNKNOWN, (event("sms.unknown"),))
    again = replace(record, state=State.SUBMITTING)
    stands = await desk.ours.declare_unknown(again, (event("sms.unknown"),))
    assert stands is not None
    assert (await looked(desk)).events == (event("sms.unknown"),)


async def test_of_several_that_find_a_dead_lease_one_declares_it(desk: Desk) -> None:
    await claimed(desk)
    await desk.end_leases()
    record = await looked(desk)
    stores: list[Messages] = [desk.ours, desk.theirs] * 5
    ends = await asyncio.gather(*(each.declare_unknown(record, (event(),)) for each in stores))
    assert sum(end is None for end in ends) == 1
    assert len((await looked(desk)).events) == 1


async def test_of_the_holder_and_who_declares_one_order_or_the_other_holds(desk: Desk) -> None:
    held = await claimed(desk)
    await desk.end_leases()
    record = await looked(desk)
    settled, declared = await asyncio.gather(
        desk.ours.settle(held, State.ACCEPTED, TAKEN, (event(),), lane=T),
        desk.theirs.declare_unknown(record, (event("sms.unknown"),)),
    )
    assert settled is None  # by the holder it may be settled from `unknown` too
    found = await looked(desk)
    assert found.state is State.ACCEPTED
    names = [each.name for each in found.events]
    assert names == (["sms.unknown", "sms.sent"] if declared is None else ["sms.sent"])


async def test_what_comes_too_late_is_appended_to_its_attempt(desk: Desk) -> None:
    held, record = await unknown(desk)
    await desk.theirs.intend(record, attempt(2, "old", resend=True), lane=T)
    await desk.ours.late(held, TAKEN)
    assert await desk.late("m-1", 1) == ["accepted"]
    assert await desk.late("m-1", 2) == []
    assert (await looked(desk)).state is State.SUBMITTING


# --- the outbox --------------------------------------------------------------------------------


async def test_confirmed_events_are_marked(desk: Desk) -> None:
    held = await claimed(desk)
    await desk.ours.settle(held, State.ACCEPTED, TAKEN, (event(), event("b")), lane=T)
    assert await desk.unconfirmed("m-1") == 2
    desk.ours.confirmed("m-1", (event(),))
    await until_equal(lambda: desk.unconfirmed("m-1"), 1, 10)
    desk.theirs.confirmed("m-1", (event(), event("b")))
    await until_equal(lambda: desk.unconfirmed("m-1"), 0, 10)


async def test_a_mark_for_a_record_that_is_gone_harms_nobody(desk: Desk) -> None:
    desk.ours.confirmed("gone", (event(),))
    await claimed(desk)
