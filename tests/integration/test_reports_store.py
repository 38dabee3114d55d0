"""Delivery reports on the real store: kept once, and matched early, late, doubled, out of order."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.due_desk import MAYBE, Desk, T, desk
from tests.support.fakes import message
from worker.domain.messages import consent
from worker.domain.messages.consent import Wish
from worker.domain.messages.message import Attempt, Delivery, Lease, Record, Result, State
from worker.domain.messages.outcome import Accepted, Blame, NotSent
from worker.domain.messages.receipts import DeliveryReport, StoredReport
from worker.domain.messages.writes import Finished
from worker.ports.store import StoreUnavailable
from worker.store.client import Database
from worker.store.replicas import ReplicaStore

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["desk"]  # a fixture

SENT = DeliveryReport("at", Delivery.SUBMITTED, "Sent", "at-1")
ARRIVED = DeliveryReport("at", Delivery.DELIVERED, "Success", "at-1", network_code="64501")
FAILED = DeliveryReport("at", Delivery.UNDELIVERED, "Failed", "at-1", reason="AbsentSubscriber")
ODD = DeliveryReport("at", None, "Pondering", "at-1")
HASH = "the recipient's hash"


async def come(desk: Desk, report: DeliveryReport, hashed: str | None = None) -> bool:
    """A report comes, as the handler takes it."""
    stored = await desk.reports.keep(report, hashed, desk.clock.now())
    return await desk.sweeper._matcher.match(stored)


async def hash_of(desk: Desk, ident: str = "m-1") -> str:
    return (await desk.look(ident)).recipient.hash


async def delivery(desk: Desk, ident: str = "m-1", epoch: int = 1) -> Delivery:
    return (await desk.look(ident)).attempts[epoch - 1].delivery


async def held(desk: Desk, ident: str = "m-1") -> None:
    """An attempt that may have left."""
    lease = await desk.claim(ident)
    await desk.settle(lease, MAYBE, State.UNKNOWN, "sms.unknown")


# --- in order, and not -------------------------------------------------------------------------


async def test_reports_move_the_delivery_of_their_attempt(desk: Desk) -> None:
    await desk.accepted()
    assert await come(desk, SENT)
    assert (await delivery(desk), desk.publisher.names) == (Delivery.SUBMITTED, [])
    assert await come(desk, ARRIVED)
    assert (await delivery(desk), desk.publisher.names) == (Delivery.DELIVERED, ["sms.delivered"])
    assert desk.publisher.body()["matchedBy"] == "reference"
    assert desk.publisher.body()["networkCode"] == "64501"


async def test_an_undelivered_one_says_why(desk: Desk) -> None:
    await desk.accepted()
    await come(desk, FAILED)
    assert desk.publisher.names == ["sms.undelivered"]
    assert desk.publisher.body()["reason"] == "AbsentSubscriber"


async def test_a_doubled_report_is_told_once(desk: Desk) -> None:
    await desk.accepted()
    assert [await come(desk, ARRIVED) for _ in range(3)] == [True] * 3
    assert desk.publisher.names == ["sms.delivered"]
    assert len((await desk.look()).events) == 1


async def test_two_replicas_with_one_report_each_tell_one_fact(desk: Desk) -> None:
    await desk.accepted()
    assert await asyncio.gather(*(come(desk, ARRIVED) for _ in range(5))) == [True] * 5
    assert {event.key for event in desk.publisher.events} == {"sms.delivered"}
    assert len((await desk.look()).events) == 1


async def test_reports_out_of_order_move_nothing_back(desk: Desk) -> None:
    await desk.accepted()
    assert await come(desk, ARRIVED)
    assert await come(desk, SENT)
    assert await come(desk, FAILED)
    assert (await delivery(desk), desk.publisher.names) == (Delivery.DELIVERED, ["sms.delivered"])


async def test_an_undocumented_status_is_kept_and_moves_nothing(desk: Desk) -> None:
    await desk.accepted()
    assert await come(desk, ODD)
    assert await delivery(desk) is Delivery.NONE
    assert await desk.due.report(await desk.look(), 1, ODD, (), proves=False)


# --- what a report says of consent -------------------------------------------------------------

UNWANTED = DeliveryReport(
    "at", Delivery.UNDELIVERED, "Rejected", "at-1", reason="UserInBlackList", opted_out=True
)


async def unwanted(desk: Desk) -> frozenset[str]:
    return consent.stopped(desk.suppressed.wishes.get(await hash_of(desk), ()))


async def test_an_opt_out_told_by_a_report_counts_for_the_sender_of_its_attempt(
    desk: Desk,
) -> None:
    await desk.accepted()
    assert await come(desk, UNWANTED)
    assert desk.publisher.names == ["sms.undelivered"]
    assert await unwanted(desk) == {"promo"}


async def test_an_opt_out_told_before_the_response_is_stored_counts_once_that_is_known(
    desk: Desk,
) -> None:
    lease = await desk.claim()
    assert not await come(desk, UNWANTED, await hash_of(desk))
    assert await unwanted(desk) == frozenset()
    await desk.settle(lease, Finished(Accepted("at-1"), 1.0), State.ACCEPTED)
    await desk.sweeper.match_early()
    assert await unwanted(desk) == {"promo"}


async def test_an_opt_out_of_an_attempt_without_a_known_sender_counts_for_every_one(
    desk: Desk,
) -> None:
    await desk.accepted()
    await desk.collection.update_many({}, {"$unset": {"attempts.1.sender": ""}})
    await come(desk, UNWANTED)
    assert await unwanted(desk) == {consent.EVERY_SENDER}


async def test_an_opt_out_told_by_nobody_s_report_counts_for_every_sender_after_a_minute(
    desk: Desk,
) -> None:
    await desk.accepted()
    stranger = replace(UNWANTED, provider_message_id="another system's")
    await come(desk, stranger, await hash_of(desk))
    assert await unwanted(desk) == frozenset()
    desk.later(seconds=70)
    await desk.sweeper.sweep()
    assert await unwanted(desk) == {consent.EVERY_SENDER}


async def test_an_opt_out_told_again_by_the_same_report_does_not_undo_a_later_way_back(
    desk: Desk,
) -> None:
    await desk.accepted()
    await come(desk, UNWANTED)
    desk.later(seconds=60)
    back = Wish("promo", stopped=False, at=desk.clock.now(), source="test")
    await desk.suppressed.record((await desk.look()).recipient, back)
    desk.later(seconds=60)
    await come(desk, UNWANTED)
    assert await unwanted(desk) == frozenset()


async def test_a_report_stored_with_a_time_to_come_is_one_received_now(desk: Desk) -> None:
    ahead = desk.clock.now() + timedelta(hours=1)
    await desk.reports.keep(replace(UNWANTED, provider_message_id="another's"), HASH, ahead)
    desk.later(seconds=10)
    (stored,) = await desk.reports.orphans()
    assert stored.received_at <= desk.clock.now()
    desk.later(seconds=70)
    await desk.sweeper.sweep()
    assert consent.stopped(desk.suppressed.wishes[HASH]) == {consent.EVERY_SENDER}


async def test_an_early_report_is_matched_when_its_response_is_stored(desk: Desk) -> None:
    lease = await desk.claim()
    assert not await come(desk, ARRIVED)
    await desk.settle(lease, Finished(Accepted("at-1"), 1.0), State.ACCEPTED, "sms.sent")
    await desk.sweeper.match_early()
    assert desk.publisher.names == ["sms.delivered"]
    assert desk.references.take() == []
    await desk.sweeper.match_early()
    assert desk.publisher.names == ["sms.delivered"]


async def test_an_early_report_nobody_looked_for_is_found_by_the_sweeper(desk: Desk) -> None:
    await come(desk, ARRIVED)
    await desk.accepted()
    desk.references.take()
    desk.later(seconds=6)
    await desk.sweeper.sweep()
    assert desk.publisher.names == ["sms.delivered"]


async def test_a_report_after_the_deadline_is_still_told(desk: Desk) -> None:
    await desk.accepted()
    desk.later(seconds=3601)
    await desk.sweeper.sweep()
    await come(desk, ARRIVED)
    assert desk.publisher.names == ["sms.unreported", "sms.delivered"]


async def test_a_report_in_mid_attempt_waits(desk: Desk) -> None:
    await desk.claim()
    by_our_id = replace(ARRIVED, message_id="m-1", epoch=1)
    assert not await come(desk, by_our_id)
    assert await delivery(desk) is Delivery.NONE


# --- by our own id -----------------------------------------------------------------------------


async def test_our_own_id_and_epoch_name_the_attempt(desk: Desk) -> None:
    lease = await desk.claim(provider="old")
    sick = Finished(NotSent(Blame.PROVIDER, "503", "x"), 1.0)
    again = await desk.messages.intend(lease, Attempt(2, "old", 1, "again"), sick, lane=T)
    assert isinstance(again, Lease)
    await desk.settle(again, Finished(Accepted(None), 1.0), State.ACCEPTED)
    mine = DeliveryReport("old", Delivery.DELIVERED, "1", message_id="m-1", epoch=2)
    assert await come(desk, mine)
    assert (await delivery(desk, epoch=1), await delivery(desk, epoch=2)) == (
        Delivery.NONE,
        Delivery.DELIVERED,
    )


@pytest.mark.parametrize(
    "report",
    [
        DeliveryReport("old", Delivery.DELIVERED, "1", message_id="m-1", epoch=9),
        DeliveryReport("old", Delivery.DELIVERED, "1", message_id="nobody", epoch=1),
        DeliveryReport("at", Delivery.DELIVERED, "1", "at-9"),
        DeliveryReport("at", Delivery.DELIVERED, "1"),
    ],
)
async def test_a_report_of_nobody_stays_an_orphan(desk: Desk, report: DeliveryReport) -> None:
    await desk.accepted()
    assert not await come(desk, report)
    assert desk.publisher.names == []


@pytest.mark.parametrize("state", [State.ACCEPTED, State.UNKNOWN])
@pytest.mark.parametrize("provider_message_id", [None, "at-1"])
async def test_a_report_of_another_provider_changes_nothing_by_our_own_id(
    desk: Desk, state: State, provider_message_id: str | None
) -> None:
    """Whoever has one provider's token and knows message ids settles no attempt of the other."""
    lease = await desk.claim()
    outcome = Finished(Accepted("at-1"), 1.0) if state is State.ACCEPTED else MAYBE
    await desk.settle(lease, outcome, state)
    before = await desk.look()
    forged = DeliveryReport("old", Delivery.DELIVERED, "1", provider_message_id, "m-1", 1)
    assert not await come(desk, forged, await hash_of(desk))
    assert await desk.look() == before
    assert desk.publisher.names == []


async def test_of_two_attempts_a_report_reaches_that_of_its_provider(desk: Desk) -> None:
    lease = await desk.claim(provider="old")
    again = await desk.messages.intend(lease, Attempt(2, "at", 1, "again"), MAYBE, lane=T)
    assert isinstance(again, Lease)
    await desk.settle(again, Finished(Accepted("at-1"), 1.0), State.ACCEPTED)
    assert not await come(
        desk, DeliveryReport("old", Delivery.DELIVERED, "1", message_id="m-1", epoch=2)
    )
    assert not await come(
        desk, DeliveryReport("at", Delivery.DELIVERED, "1", message_id="m-1", epoch=1)
    )
    assert await come(
        desk, DeliveryReport("old", Delivery.DELIVERED, "1", message_id="m-1", epoch=1)
    )
    assert [await delivery(desk, epoch=each) for each in (1, 2)] == [
        Delivery.DELIVERED,
        Delivery.NONE,
    ]


# --- by the recipient ----------------------------------------------------------------------------


async def test_the_only_unknown_of_a_recipient_is_proved_by_a_report(desk: Desk) -> None:
    await held(desk)
    assert await come(desk, ARRIVED, await hash_of(desk))
    record = await desk.look()
    assert (record.state, record.attempts[0].result) == (State.ACCEPTED, Result.ACCEPTED)
    assert record.attempts[0].provider_message_id == "at-1"
    assert desk.publisher.names == ["sms.sent", "sms.delivered"]
    assert desk.publisher.body()["matchedBy"] == "recipient"
    assert "proved by a delivery report" in desk.publisher.body(0)["reason"]


async def test_a_report_from_before_an_attempt_proves_nothing_of_it(desk: Desk) -> None:
    """It is about another message of that recipient: of somebody else on the account, say."""
    await held(desk)
    earlier = desk.clock.now() - timedelta(minutes=1)
    stored = await desk.reports.keep(ARRIVED, await hash_of(desk), earlier)
    assert not await desk.sweeper._matcher.match(stored)
    assert (await desk.look()).state is State.UNKNOWN


async def test_the_report_after_the_proof_finds_its_message_too(desk: Desk) -> None:
    await held(desk)
    hashed = await hash_of(desk)
    assert await come(desk, SENT, hashed)
    assert await come(desk, ARRIVED, hashed)
    assert desk.publisher.names == ["sms.sent", "sms.delivered"]


async def test_of_two_candidates_none_is_proved(desk: Desk) -> None:
    await held(desk)
    await held(desk, "m-2")
    assert not await come(desk, ARRIVED, await hash_of(desk))
    assert {(await desk.look(ident)).state for ident in ("m-1", "m-2")} == {State.UNKNOWN}


async def resent(desk: Desk, ident: str = "m-1") -> None:
    """A message whose first attempt may have left, and whose resend another provider took."""
    lease = await desk.claim(ident)
    again = Attempt(2, "old", 1, "resend", resend=True, at=desk.clock.now())

    second = await desk.messages.intend(lease, again, MAYBE, lane=T)
    assert isinstance(second, Lease)
    await desk.settle(second, Finished(Accepted("old-1"), 1.0), State.ACCEPTED)


async def test_the_attempt_before_a_resend_is_found_by_its_recipient(desk: Desk) -> None:
    await resent(desk)
    assert await come(desk, ARRIVED, await hash_of(desk))
    assert await delivery(desk) is Delivery.DELIVERED
    assert desk.publisher.names == ["sms.delivered"]


async def test_the_attempt_before_a_resend_is_a_candidate_too(desk: Desk) -> None:
    """The report may be its own, so that it proves nothing of another message."""
    await resent(desk)
    await held(desk, "m-2")
    assert not await come(desk, ARRIVED, await hash_of(desk))
    assert (await desk.look("m-2")).state is State.UNKNOWN


async def test_a_message_in_hand_is_a_candidate_too(desk: Desk) -> None:
    """Its response is not stored yet: the report may well be its own."""
    await held(desk)
    lease = await desk.claim("m-2")
    early = replace(ARRIVED, provider_message_id="at-2")
    assert not await come(desk, early, await hash_of(desk))
    assert (await desk.look()).state is State.UNKNOWN
    await desk.settle(lease, Finished(Accepted("at-2"), 1.0), State.ACCEPTED)
    await desk.sweeper.match_early()
    assert [event.key for event in desk.publisher.events] == ["sms.delivered"]
    assert desk.publisher.body()["messageId"] == "m-2"


async def test_the_only_one_in_hand_is_not_proved_before_its_time(desk: Desk) -> None:
    await desk.claim()
    assert not await come(desk, ARRIVED, await hash_of(desk))
    assert (await desk.look()).state is State.SUBMITTING


@pytest.mark.parametrize("other", ["recipient", "provider"])
async def test_an_unknown_of_another_recipient_or_provider_is_none(desk: Desk, other: str) -> None:
    await held(desk)
    report = replace(ARRIVED, provider="old") if other == "provider" else ARRIVED
    hashed = "somebody else" if other == "recipient" else await hash_of(desk)
    assert not await come(desk, report, hashed)


async def test_an_unknown_past_the_deadline_is_none(desk: Desk) -> None:
    await held(desk)
    desk.later(seconds=3601)
    assert not await come(desk, ARRIVED, await hash_of(desk))


async def test_a_proof_by_our_own_id_says_so(desk: Desk) -> None:
    await held(desk)
    await come(desk, DeliveryReport("at", Delivery.UNDELIVERED, "2", message_id="m-1", epoch=1))
    assert desk.publisher.names == ["sms.sent", "sms.undelivered"]
    assert desk.publisher.body()["matchedBy"] == "reference"


async def test_a_second_candidate_that_is_settled_makes_room(desk: Desk) -> None:
    await held(desk)
    lease = await desk.claim("m-2")
    hashed = await hash_of(desk)
    assert not await come(desk, ARRIVED, hashed)
    await desk.settle(lease, Finished(Accepted("at-2"), 1.0), State.ACCEPTED)
    desk.later(seconds=6)
    await desk.sweeper.sweep()
    assert (await desk.look()).state is State.ACCEPTED


# --- as stored ---------------------------------------------------------------------------------


async def test_the_same_report_is_kept_once(desk: Desk) -> None:
    first = await desk.reports.keep(ARRIVED, HASH, desk.clock.now())
    again = await desk.reports.keep(ARRIVED, HASH, desk.clock.now())
    other = await desk.reports.keep(FAILED, HASH, desk.clock.now())
    assert (first.id == again.id, first.id == other.id) == (True, False)
    assert await desk.reports._collection.count_documents({}) == 2


async def test_what_is_kept_comes_back_as_it_was(desk: Desk) -> None:
    report = DeliveryReport("at", None, "Odd", "at-1", "m-1", 3, None, "why", "64501")
    kept = await desk.reports.keep(replace(report, to="+260977123456"), HASH, desk.clock.now())
    (found,) = await desk.reports.waiting_for(["at:at-1", "at:other"])
    assert (found.id, found.report, found.recipient_hash) == (kept.id, report, HASH)
    assert "977" not in repr(await desk.reports._collection.find_one({}))


async def test_a_matched_report_is_no_orphan(desk: Desk) -> None:
    kept = await desk.reports.keep(ARRIVED, None, desk.clock.now())
    desk.later(seconds=6)
    await desk.reports.matched(kept.id)
    assert await desk.reports.orphans() == []
    assert await desk.reports.waiting_for(["at:at-1"]) == []


async def test_an_orphan_is_tried_ever_more_rarely(desk: Desk) -> None:
    await desk.reports.keep(ARRIVED, None, desk.clock.now())
    assert await desk.reports.orphans() == []
    tries = 0
    for _ in range(100):
        desk.later(seconds=60)
        tries += len(await desk.reports.orphans())
    assert 5 <= tries <= 10


async def test_a_record_that_changes_under_a_report_is_looked_at_again(desk: Desk) -> None:
    await desk.accepted()
    real, times = desk.due.report, 0

    async def contended(*args: Any, **kwargs: Any) -> bool:
        nonlocal times
        times += 1
        return times == 3 and await real(*args, **kwargs)

    desk.due.report = contended
    assert await come(desk, ARRIVED)
    assert times == 3
    times = 3
    assert not await come(desk, replace(FAILED, provider_message_id="at-2"))
    await desk.accepted("m-2", pid="at-2")
    assert not await come(desk, replace(FAILED, provider_message_id="at-2"))


# --- a store that is away ------------------------------------------------------------------------


async def test_a_store_that_is_away_says_so() -> None:
    away = Database("mongodb://127.0.0.1:1/?directConnection=true", "away", timeout_s=0.2)
    desk_ = Desk(away)
    attempt = Attempt(1, "at", 1, "why")
    kept = StoredReport("r", ARRIVED, HASH, desk_.clock.now())
    asked: list[Awaitable[Any]] = [
        desk_.due.by_reference("at", "at-1"),
        desk_.due.in_doubt_of(HASH),
        desk_.due.unreported(_record(desk_, attempt), ()),
        desk_.reports.keep(ARRIVED, None, desk_.clock.now()),
        desk_.reports.matched("r"),
        desk_.reports.waiting_for(["x"]),
        desk_.reports.orphans(),
        desk_.sweeper._matcher.match(kept),
        ReplicaStore(away["replicas"]).live(),
    ]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    await away.close()
    assert [type(end) for end in ends] == [StoreUnavailable] * len(asked)


def _record(desk: Desk, attempt: Attempt) -> Any:
    asked = message(desk.clock)
    return Record(
        id="m-1",
        fingerprint=asked.fingerprint,
        recipient=asked.recipient,
        lane=asked.lane,
        on_unknown=asked.on_unknown,
        state=State.ACCEPTED,
        expires_at=asked.expires_at,
        epoch=1,
        attempts=(attempt,),
    )
