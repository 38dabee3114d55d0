"""Records of messages: one suite over the real store and its stand-in in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from tests.integration.records_desk import (
    MAYBE,
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
from tests.support.fakes import BULK, HandClock, message
from worker.domain.messages.message import Lane, Lease, Record, Result, State
from worker.domain.messages.writes import TerminalWrite
from worker.domain.migration.phases import Role

__all__ = ["desk", "on_mongod", "on_simulated"]  # fixtures


# --- claim -------------------------------------------------------------------------------------


async def test_an_unknown_id_has_no_record(desk: Desk) -> None:
    assert await desk.ours.look("m-1") is None


async def test_a_claim_stores_all_but_text_and_number(desk: Desk) -> None:
    asked = message(
        HandClock(),
        correlation_id="c-1",
        message_type="Otp",
        user_id="ann",
        branch_id=7,
        segments=2,
        probe=Role.LEGACY,
        **BULK,
    )
    held = await desk.ours.claim(asked, attempt())
    assert isinstance(held, Lease)
    assert (held.message_id, held.owner, held.epoch, held.round) == ("m-1", "ours", 1, 0)
    assert (held.provider, held.tried, held.resend_used) == ("at", {"at"}, False)
    assert await looked(desk) == Record(
        id="m-1",
        fingerprint=asked.fingerprint,
        recipient=asked.recipient,
        lane=Lane.BULK,
        on_unknown=asked.on_unknown,
        state=State.SUBMITTING,
        expires_at=asked.expires_at,
        epoch=1,
        owner="ours",
        lease_alive=True,
        attempts=(attempt(),),
        correlation_id="c-1",
        message_type="Otp",
        user_id="ann",
        branch_id=7,
        segments=2,
        probe=Role.LEGACY,
    )


async def test_a_second_claim_gets_the_record_that_stands(desk: Desk) -> None:
    await claimed(desk)
    stands = await desk.theirs.claim(message(HandClock()), attempt(provider="old"))
    assert isinstance(stands, Record)
    assert (stands.owner, stands.lease_alive, stands.attempts[0].provider) == ("ours", True, "at")


async def test_of_two_owners_claiming_the_same_ids_exactly_one_wins_each(desk: Desk) -> None:
    asked = [message(HandClock(), f"m-{n}") for n in range(120)]
    ends = await asyncio.gather(
        *(store.claim(each, attempt()) for each in asked for store in (desk.ours, desk.theirs))
    )
    winners = Counter(end.message_id for end in ends if isinstance(end, Lease))
    assert winners == Counter(each.id for each in asked)
    for each in asked:
        record = await looked(desk, each.id)
        assert record.owner in {
            e.owner for e in ends if isinstance(e, Lease) and e.message_id == each.id
        }


# --- close_new ---------------------------------------------------------------------------------


async def test_a_new_end_stands_with_its_events(desk: Desk) -> None:
    asked = message(HandClock())
    closing = TerminalWrite("m-1", State.EXPIRED, (event("sms.expired"),), asked)
    assert await desk.ours.close_new(closing) is None
    record = await looked(desk)
    assert (record.state, record.epoch, record.attempts) == (State.EXPIRED, 0, ())
    assert (record.events, record.fingerprint) == ((event("sms.expired"),), asked.fingerprint)


async def test_an_end_of_what_nobody_understood_needs_no_message(desk: Desk) -> None:
    assert (
        await desk.ours.close_new(TerminalWrite("m-1", State.REJECTED, (event("sms.rejected"),)))
        is None
    )
    record = await looked(desk)
    assert (record.state, record.fingerprint, record.lane) == (State.REJECTED, "", Lane.BULK)


async def test_a_new_end_loses_to_a_claim_and_a_claim_to_a_new_end(desk: Desk) -> None:
    await claimed(desk)
    stands = await desk.theirs.close_new(TerminalWrite("m-1", State.EXPIRED, (event(),)))
    assert stands is not None
    assert (stands.state, stands.events) == (State.SUBMITTING, ())
    await desk.ours.close_new(TerminalWrite("m-2", State.EXPIRED, ()))
    lost = await desk.theirs.claim(message(HandClock(), "m-2"), attempt())
    assert isinstance(lost, Record)
    assert lost.state is State.EXPIRED


# --- intend ------------------------------------------------------------------------------------


async def test_a_further_intent_ends_the_attempt_before_it(desk: Desk) -> None:
    held = await claimed(desk)
    again = await desk.ours.intend(held, attempt(2, "old"), SICK, lane=T)
    assert isinstance(again, Lease)
    assert (again.epoch, again.provider, again.tried) == (2, "old", {"at", "old"})
    record = await looked(desk)
    assert (record.state, record.epoch) == (State.SUBMITTING, 2)
    assert [each.result for each in record.attempts] == [Result.NOT_SENT, None]


async def test_a_resend_is_used_up_by_its_intent(desk: Desk) -> None:
    held = await claimed(desk)
    again = await desk.ours.intend(held, attempt(2, "old", resend=True), MAYBE, lane=T)
    assert isinstance(again, Lease)
    assert again.resend_used
    record = await looked(desk)
    assert record.resend_used
    assert record.attempts[1].resend
    third = await desk.ours.intend(again, attempt(3), SICK, lane=T)
    assert isinstance(third, Lease)
    assert third.resend_used


async def test_an_intent_from_waiting_takes_the_record_over(desk: Desk) -> None:
    record = await waiting(desk)
    held = await desk.theirs.intend(record, attempt(2), lane=T)
    assert isinstance(held, Lease)
    assert (held.owner, held.epoch, held.round, held.failed_rounds) == ("theirs", 2, 1, 1)
    assert (await looked(desk)).owner == "theirs"


async def test_an_intent_from_unknown_takes_the_record_over(desk: Desk) -> None:
    _, record = await unknown(desk)
    held = await desk.theirs.intend(record, attempt(2, "old", resend=True), lane=T)
    assert isinstance(held, Lease)
    found = await looked(desk)
    assert (found.state, found.epoch, found.lease_alive) == (State.SUBMITTING, 2, True)
    assert found.events == (event("sms.unknown"),)


async def test_of_two_that_go_on_from_one_record_one_wins(desk: Desk) -> None:
    record = await waiting(desk)
    ends = await asyncio.gather(
        *(store.intend(record, attempt(2), lane=T) for store in (desk.ours, desk.theirs))
    )
    assert Counter(map(type, ends)) == {Lease: 1, Record: 1}
    (winner,) = (end for end in ends if isinstance(end, Lease))
    assert (await looked(desk)).owner == winner.owner


async def test_an_intent_from_another_round_loses(desk: Desk) -> None:
    record = await waiting(desk)
    stale = replace(record, round=0)
    assert isinstance(await desk.theirs.intend(stale, attempt(2), lane=T), Record)
    assert (await looked(desk)).state is State.WAITING


@pytest.mark.parametrize("state", [State.ACCEPTED, State.FAILED])
async def test_nothing_goes_on_from_what_is_settled(desk: Desk, state: State) -> None:
    held = await claimed(desk)
    assert await desk.ours.settle(held, state, TAKEN, (event(),), lane=T) is None
    assert isinstance(await desk.ours.intend(held, attempt(2), SICK, lane=T), Record)
    assert (await looked(desk)).epoch == 1


async def test_the_holder_goes_on_from_unknown_upon_its_own_proof(desk: Desk) -> None:
    held, _ = await unknown(desk)
    again = await desk.ours.intend(held, attempt(2, "old"), SICK, lane=T)
    assert isinstance(again, Lease)
    assert [each.result for each in (await looked(desk)).attempts] == [Result.NOT_SENT, None]


async def test_who_was_taken_over_goes_on_no_more(desk: Desk) -> None:
    held, record = await unknown(desk)
    await desk.theirs.intend(record, attempt(2, "old", resend=True), lane=T)
    assert isinstance(await desk.ours.intend(held, attempt(2, "old"), SICK, lane=T), Record)
    assert isinstance(await desk.ours.wait(held, SICK, counted=True, lane=T), Record)
    stands = await desk.ours.settle(held, State.ACCEPTED, TAKEN, (event(),), lane=T)
    assert stands is not None
    assert (stands.owner, stands.epoch, stands.state) == ("theirs", 2, State.SUBMITTING)
    assert stands.events == (event("sms.unknown"),)
