"""Runs the demo from start to verdict.

Rules: everything runs in its own directory. Afterwards only logs and journals remain. The verdict
is made from the providers' journals, the events and the dead letters.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Final

import aiohttp

from worker.domain.migration.replicas import short_id
from worker.lab.demo.client import Administrator, Dashboard, Upstream, dead_letters
from worker.lab.demo.facts import DELIVERED, LEGACY, SENT, TARGET, Facts
from worker.lab.demo.messages import plan
from worker.lab.demo.scenes import WORKERS, Pace, Story
from worker.lab.demo.simulators import Simulators
from worker.lab.demo.steering import Steering
from worker.lab.demo.traffic import Traffic
from worker.lab.demo.verdict import headline, judge
from worker.lab.demo.waiting import FactMissing, until, until_asked
from worker.lab.local.parts import control_name
from worker.lab.local.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

    from worker.lab.demo.facts import Change
    from worker.lab.demo.screen import Screen

PROFILE: Final = {
    "SMS_TARGET__DEADLINE_S": "3",
    "SMS_TARGET__CONNECT_TIMEOUT_S": "1",
    "SMS_TARGET__BREAKER__OPEN_S": "2",
    "SMS_LEGACY__DEADLINE_S": "3",
    "SMS_LEGACY__CONNECT_TIMEOUT_S": "1",
    "SMS_LEGACY__BREAKER__OPEN_S": "2",
    "SMS_LEASE_MARGIN_S": "2",
    "SMS_DRAIN_GRACE_S": "8",
    "SMS_DELIVERY_AGE_S": "5",
}
"""Settings that shorten minutes of production to seconds."""
_SETTLED_WITHIN_S: Final = 60.0
_REPORTED_WITHIN_S: Final = 20.0
_STATUS_EVERY_S: Final = 0.2


async def run(directory: Path, screen: Screen, pace: Pace | None = None) -> bool:
    """Run the demo; returns whether every promise held.

    Raises:
        LocalError: the stack did not start.
    """
    screen.title("starting broker, database, two providers, two workers")
    stack = Stack(directory, replicas=WORKERS, profile=PROFILE, say=screen.say)
    with screen.moving():
        async with stack:
            facts = await _play(stack, screen, pace or Pace())
            screen.title("stopping")
    rows = judge(facts)
    screen.verdict(rows, facts)
    good = all(row.holds is not False for row in rows)
    screen.where(f"logs: {directory}/logs, journals: {directory}/journals")
    screen.last(headline(rows, facts), good=good)
    return good


async def _play(stack: Stack, screen: Screen, pace: Pace) -> Facts:
    run_id = secrets.token_hex(3)
    prefix = f"demo-{run_id}-"
    controls = {each: stack.http[control_name(each)] for each in (TARGET, LEGACY)}

    def told(change: Change) -> None:
        screen.say(f"breaker {change.to} on {short_id(change.replica)}: {change.reason}")

    async with AsyncExitStack() as opened:
        http = await opened.enter_async_context(aiohttp.ClientSession())
        upstream = await opened.enter_async_context(Upstream(stack.amqp["upstream"], prefix))
        dashboard = await opened.enter_async_context(Dashboard(stack.amqp["dashboard"], told))
        login = Administrator(stack.amqp["administrator"])
        administrator = await opened.enter_async_context(login)
        steering = Steering(administrator, stack.mongo_url)
        opened.push_async_callback(steering.close)
        traffic = Traffic(upstream, plan(run_id), pace.rate_per_s)
        simulators = Simulators(http, controls)
        story = Story(stack, upstream, dashboard, simulators, steering, traffic, screen, pace)
        watching = asyncio.create_task(_watch(upstream, screen))
        opened.callback(watching.cancel)
        broke_off = await _told(story, prefix)
        return Facts(
            published=tuple(upstream.published.values()),
            taken=await simulators.taken(prefix),
            told=tuple(upstream.told),
            changes=tuple(dashboard.changes),
            dead=await dead_letters(stack.amqp["worker"], prefix),
            broken=frozenset(story.broken),
            scenes=tuple(story.scenes),
            kill=story.kill,
            rollback_s=story.rollback_s,
            automatic=story.automatic,
            broke_off=broke_off,
        )


async def _told(story: Story, prefix: str) -> str | None:
    """Play all scenes and wait until nothing moves; returns why it stopped early, if it did."""
    broke_off = None
    try:
        await story.tell()
    except FactMissing as missing:
        broke_off = str(missing)
        story.screen.say(broke_off)
    finally:
        await story.traffic.stop()
    await story.simulators.heal(TARGET)
    with suppress(FactMissing):  # the rows show the missing facts, by message
        await _quiet(story, prefix)
    return broke_off


async def _quiet(story: Story, prefix: str) -> None:
    """Wait until all messages are settled, nothing is under way, and all reports have come."""
    upstream = story.upstream
    await until(lambda: not upstream.unsettled, "every message settled", _SETTLED_WITHIN_S)

    async def nothing_under_way() -> bool:
        pending = await story.simulators.reports_pending()
        return not pending and not await story.steering.under_way(prefix)

    await until_asked(nothing_under_way, "nothing under way", _SETTLED_WITHIN_S)
    taken = {each.id for each in await story.simulators.taken(prefix)}

    def reported() -> bool:
        events = {(each.id, each.event) for each in upstream.told}
        return all((each, DELIVERED) in events and (each, SENT) in events for each in taken)

    await until(reported, "every SMS taken reported on", _REPORTED_WITHIN_S)


async def _watch(upstream: Upstream, screen: Screen) -> None:
    """Update the status line."""
    while True:
        sent = ", ".join(f"{name} {count}" for name, count in sorted(upstream.sent_by.items()))
        screen.status(
            f"published {len(upstream.published)}, in flight {len(upstream.unsettled)}, "
            f"sent: {sent or 'none'}, held {len(upstream.held)}"
        )
        await asyncio.sleep(_STATUS_EVERY_S)
