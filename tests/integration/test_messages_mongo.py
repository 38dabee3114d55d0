"""Records in MongoDB alone: what the stand-in cannot show."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from tests.integration.records_desk import (
    LEASE_S,
    MAYBE,
    REFUSED,
    TAKEN,
    OnMongo,
    T,
    attempt,
    claimed,
    event,
    looked,
    mongo,
    unknown,
)
from tests.support.fakes import HandClock, message
from tests.support.waiting import until_equal
from worker.domain.messages.message import Delivery, Lease, State
from worker.domain.messages.outcome import Money

__all__ = ["mongo"]  # a fixture


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
