"""What nobody reported is judged at its age, and told at the deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.integration.due_desk import MAYBE, Desk, desk, left
from tests.support.fakes import BULK
from worker.domain.messages.message import Delivery, State
from worker.domain.messages.outcome import Refused
from worker.domain.messages.receipts import DeliveryReport
from worker.domain.messages.writes import Finished
from worker.domain.migration.phases import Role

if TYPE_CHECKING:
    from worker.store.client import Database

__all__ = ["desk"]  # a fixture


async def test_an_accepted_attempt_is_judged_once_at_the_delivery_age(
    desk: Desk, database_here: Database
) -> None:
    for n in range(10):
        await desk.accepted(f"m-{n}")
    await desk.sweeper.sweep()
    assert desk.meter.judgements == []
    other = Desk(database_here)
    for each in (desk, other):
        each.later(seconds=601)
    await asyncio.gather(desk.sweeper.sweep(), other.sweeper.sweep())
    assert desk.meter.judgements + other.meter.judgements == [("at", False)] * 10
    await desk.sweeper.sweep()
    assert len(desk.meter.judgements) + len(other.meter.judgements) == 10


async def test_what_was_delivered_counts_as_delivered(desk: Desk) -> None:
    await desk.accepted()
    report = DeliveryReport("at", Delivery.DELIVERED, "Success", "at-1")
    assert await desk.due.report(await desk.look(), 1, report, (), proves=False)
    desk.later(seconds=601)
    await desk.sweeper.sweep()
    assert desk.meter.judgements == [("at", True)]


async def test_a_probe_is_judged_apart(desk: Desk) -> None:
    await desk.accepted(probe=Role.TARGET)
    desk.later(seconds=601)
    await desk.sweeper.sweep()
    assert (desk.meter.judgements, desk.meter.probes_judged) == ([], [("at", False)])


async def test_a_provider_without_reports_is_not_judged(desk: Desk) -> None:
    await desk.accepted(provider="old")
    desk.later(seconds=601)
    await desk.sweeper.sweep()
    assert desk.meter.judgements == []


async def test_at_the_deadline_what_nobody_reported_is_told_so_once(
    desk: Desk, database_here: Database
) -> None:
    await desk.accepted()
    held = await desk.claim("m-2")
    await desk.settle(held, MAYBE, State.UNKNOWN)
    other = Desk(database_here)
    for each in (desk, other):
        each.later(seconds=3601)
    await asyncio.gather(desk.sweeper.sweep(), other.sweeper.sweep())
    await desk.sweeper.sweep()
    told = {(event.key, event.id) for each in (desk, other) for event in each.publisher.events}
    assert sorted(key for key, _ in told) == ["sms.unreported", "sms.unreported"]
    assert len((await desk.look()).events) == 1


@pytest.mark.parametrize("delivery", [Delivery.DELIVERED, Delivery.UNDELIVERED])
async def test_what_was_reported_is_not_unreported(desk: Desk, delivery: Delivery) -> None:
    await desk.accepted()
    report = DeliveryReport("at", delivery, "Final", "at-1")
    await desk.due.report(await desk.look(), 1, report, (), proves=False)
    desk.later(seconds=3601)
    await desk.sweeper.sweep()
    assert desk.publisher.names == []


async def test_of_a_provider_without_reports_nothing_is_unreported(desk: Desk) -> None:
    await desk.accepted(provider="old")
    desk.later(seconds=3601)
    await desk.sweeper.sweep()
    assert desk.publisher.names == []


async def test_what_failed_after_it_was_called_unknown_is_not_unreported(desk: Desk) -> None:
    held = await desk.claim(**BULK)
    await desk.lease_died_ago(1)
    await desk.sweeper.sweep()
    await desk.settle(held, Finished(Refused("403", "bad"), 1.0), State.FAILED, "sms.failed")
    desk.messages.confirmed("m-1", (await desk.look()).events)
    await left(desk, 0)
    desk.later(seconds=3601)
    await desk.sweeper.sweep()
    assert desk.publisher.names == ["sms.unknown"]
