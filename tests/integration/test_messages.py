"""Records of messages: one suite over the real store and its stand-in in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from bson import Timestamp

from tests.support.fakes import BULK, HandClock, StoreTroubles, message
from tests.support.waiting import until_equal
from worker.clock import SystemClock
from worker.domain.messages.message import (
    Attempt,
    Delivery,
    Lane,
    Lease,
    Record,
    Result,
    State,
    StoredEvent,
)
from worker.domain.messages.outcome import Accepted, Blame, Money, NotSent, Refused, Unknown
from worker.domain.messages.writes import Finished, TerminalWrite
from worker.domain.migration.phases import Role
from worker.service import Background
from worker.store import indexes, messages
from worker.store.client import Database
from worker.store.memory import MemoryMessages, Shelf
from worker.store.messages import MessageStore
from worker.store.states import Retention

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.ports.messages import Messages

LEASE_S = 60.0
T = Lane.TRANSACTIONAL
RETENTION = Retention(delivery_age_s=600, report_deadline_s=48 * 3600, keep_s=30 * 86_400)
TAKEN = Finished(Accepted("at-1", Money(Decimal("0.04"), "ZMW"), 1), 10.0)
SICK = Finished(NotSent(Blame.PROVIDER, "503", "unavailable"), 20.0)
MAYBE = Finished(Unknown("timeout", "no answer"), 30.0)
REFUSED = Finished(Refused("403", "bad"), 40.0)


def attempt(epoch: int = 1, provider: str = "at", **changes: Any) -> Attempt:
    return replace(Attempt(epoch, provider, 1, "percentage", eligible=epoch == 1), **changes)


def event(name: str = "sms.sent", ordinal: int = 1) -> StoredEvent:
    return StoredEvent(name, ordinal, f'{{"event":"{name}"}}', f"{name}-{ordinal}")


class InMemory:
    """Two owners over one shelf."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.shelf: Shelf = {}
        self.ours, self.theirs = (
            MemoryMessages(self.shelf, owner=owner, lease_s=LEASE_S, clock=self.clock)
            for owner in ("ours", "theirs")
        )

    async def end_leases(self) -> None:
        self.clock.advance(LEASE_S + 2)

    async def late(self, ident: str, epoch: int) -> list[str]:
        return [finished.outcome.code for finished in self.shelf[ident].late.get(epoch, [])]

    async def unconfirmed(self, ident: str) -> int:
        kept = self.shelf[ident]
        return len({each.event_id for each in kept.record.events} - kept.confirmed)


class OnMongo:
    """Two owners over one collection."""

    def __init__(self, database: Database) -> None:
        self.clock = SystemClock()
        self.collection = database[messages.COLLECTION]
        self.troubles = StoreTroubles()
        self.referenced: list[str] = []
        self.ours, self.theirs = (self.owned_by(owner) for owner in ("ours", "theirs"))

    def owned_by(self, owner: str, lease_s: float = LEASE_S, clock: Any = None) -> MessageStore:
        return MessageStore(
            self.collection,
            owner=owner,
            lease_s=lease_s,
            retention=RETENTION,
            clock=clock or self.clock,
            health=self.troubles,
            background=Background(),
            referenced=self.referenced.append,
        )

    async def end_leases(self) -> None:
        await self.collection.update_many({}, {"$set": {"claimedAt": Timestamp(1, 1)}})

    async def late(self, ident: str, epoch: int) -> list[str]:
        found = (await self.document(ident))["attempts"][str(epoch)]
        return [found["late"]["code"]] if "late" in found else []

    async def unconfirmed(self, ident: str) -> int:
        return len((await self.document(ident))["unconfirmed"])

    async def document(self, ident: str) -> dict[str, Any]:
        return await self.collection.find_one({"_id": ident})


@pytest.fixture
async def database_here(mongo_url: str, database_name: str) -> AsyncIterator[Database]:
    opened = Database(mongo_url, database_name, timeout_s=5)
    await indexes.create(opened)
    yield opened
    await opened.db.client.drop_database(database_name)
    await opened.close()


@pytest.fixture
async def mongo(database_here: Database) -> AsyncIterator[OnMongo]:
    made = OnMongo(database_here)
    await made.ours.start()
    await made.theirs.start()
    yield made
    await made.ours.stop()
    await made.theirs.stop()


@pytest.fixture(params=["memory", "mongo"])
def desk(request: pytest.FixtureRequest, mongo: OnMongo) -> InMemory | OnMongo:
    return mongo if request.param == "mongo" else InMemory()


Desk = InMemory | OnMongo


async def claimed(desk: Desk, ident: str = "m-1", **changes: Any) -> Lease:
    held = await desk.ours.claim(message(HandClock(), ident, **changes), attempt())
    assert isinstance(held, Lease)
    return held


async def looked(desk: Desk, ident: str = "m-1") -> Record:
    found = await desk.theirs.look(ident)
    assert found is not None
    return found


async def waiting(desk: Desk) -> Record:
    assert await desk.ours.wait(await claimed(desk), SICK, counted=True, lane=T) == 1
    return await looked(desk)


async def unknown(desk: Desk) -> tuple[Lease, Record]:
    held = await claimed(desk)
    await desk.end_leases()
    record = await looked(desk)
    assert await desk.theirs.declare_unknown(record, (event("sms.unknown"),)) is None
    return held, await looked(desk)


# --- claim -----------------------------------------------------------------------------------


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


# --- close_new -------------------------------------------------------------------------------


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


# --- intend ----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("state", [State.ACCEPTED, State.FAILED, State.UNKNOWN])
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


# --- close, declare, late ------------------------------------------------------------------------


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


# --- the outbox ------------------------------------------------------------------------------


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


# --- on MongoDB alone ----------------------------------------------------------------------------


async def test_marks_are_written_at_the_end_at_last(mongo: OnMongo) -> None:
    store = mongo.owned_by("short-lived")
    await store.start()
    held = await store.claim(message(HandClock()), attempt())
    assert isinstance(held, Lease)
    await store.settle(held, State.ACCEPTED, TAKEN, (event(),), lane=T)
    store.confirmed("m-1", (event(),))
    await store.stop()
    await store.stop()
    assert await mongo.unconfirmed("m-1") == 0


async def test_a_lease_is_judged_by_the_servers_clock(mongo: OnMongo) -> None:
    wrong = HandClock()  # by this clock it is 2026-03-01, and time stands still
    store = mongo.owned_by("odd", clock=wrong)
    await store.start()
    try:
        held = await store.claim(message(wrong), attempt())
        wrong.advance(10 * LEASE_S)
        assert isinstance(held, Lease)
        record = await looked(mongo)
        assert record.lease_alive
        assert await store.declare_unknown(record, ()) is not None
    finally:
        await store.stop()


async def test_a_holder_sees_the_end_of_its_lease_before_the_server_does(mongo: OnMongo) -> None:
    store = mongo.owned_by("brief", lease_s=0.5)
    await store.start()
    try:
        for n in range(4):
            held = await store.claim(message(HandClock(), f"m-{n}"), attempt())
            assert isinstance(held, Lease)
            # To a moment just before the end, by both clocks: no sign is given of it.
            await asyncio.sleep(max(0.0, held.until - mongo.clock.monotonic() - 0.02))
            alive = (await looked(mongo, f"m-{n}")).lease_alive
            assert alive or mongo.clock.monotonic() >= held.until
        await until_equal(lambda: _alive(mongo, "m-3"), expected=False, within_s=10)
    finally:
        await store.stop()


async def _alive(mongo: OnMongo, ident: str) -> bool:
    return (await looked(mongo, ident)).lease_alive


async def test_neither_text_nor_number_is_stored(mongo: OnMongo) -> None:
    held = await claimed(mongo)
    await mongo.ours.settle(held, State.ACCEPTED, TAKEN, (event(),), lane=T)
    said = repr(await mongo.document("m-1"))
    assert "977123456" not in said
    assert "Your code" not in said


async def test_only_what_is_settled_expires(mongo: OnMongo) -> None:
    held = await claimed(mongo)
    assert "expireAt" not in await mongo.document("m-1")
    await mongo.ours.settle(held, State.UNKNOWN, MAYBE, (), lane=T)
    found = await mongo.document("m-1")
    assert found["expireAt"] - found["reportDue"] == timedelta(days=30)
    assert "judgeAt" not in found
    await mongo.theirs.intend(await looked(mongo), attempt(2, "old", resend=True), lane=T)
    assert not {"expireAt", "reportDue", "judgeAt"} & (await mongo.document("m-1")).keys()


async def test_what_is_accepted_is_judged_reported_and_forgotten_in_time(mongo: OnMongo) -> None:
    held = await claimed(mongo)
    await mongo.ours.settle(held, State.ACCEPTED, TAKEN, (), lane=T)
    found = await mongo.document("m-1")
    assert found["reportDue"] - found["judgeAt"] == timedelta(hours=48, minutes=-10)
    assert found["expireAt"] - found["reportDue"] == timedelta(days=30)
    assert found["refs"] == ["at:at-1"]
    assert mongo.referenced == ["at:at-1"]


async def test_what_failed_after_all_has_no_report_due(mongo: OnMongo) -> None:
    held, _ = await unknown(mongo)
    await mongo.ours.settle(held, State.FAILED, REFUSED, (event("sms.failed"),), lane=T)
    found = await mongo.document("m-1")
    assert "reportDue" not in found
    assert "expireAt" in found


async def test_a_late_acceptance_can_be_found_by_its_report(mongo: OnMongo) -> None:
    held, record = await unknown(mongo)
    await mongo.theirs.intend(record, attempt(2, "old", resend=True), lane=T)
    await mongo.ours.late(held, TAKEN)
    assert mongo.referenced == ["at:at-1"]
    assert (await mongo.document("m-1"))["refs"] == ["at:at-1"]
    assert (await looked(mongo)).attempts[0].provider_message_id == "at-1"


async def test_a_delivery_is_part_of_its_attempt(mongo: OnMongo) -> None:
    await claimed(mongo)
    assert (await looked(mongo)).attempts[0].delivery is Delivery.NONE


async def test_cost_and_parts_are_kept_as_said(mongo: OnMongo) -> None:
    held = await claimed(mongo)
    priced = replace(TAKEN, cost=Money(Decimal("0.0400"), "ZMW"))
    await mongo.ours.settle(held, State.ACCEPTED, priced, (), lane=T)
    stored = (await mongo.document("m-1"))["attempts"]["1"]
    assert stored["cost"] == {"amount": "0.0400", "currency": "ZMW"}
    assert stored["parts"] == 1
