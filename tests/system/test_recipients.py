"""Who must not get a message, or not any more: opted out, too late, or served already."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contracts import control
from contracts.names import retry_queue
from tests.support.recipients import new_number, number_for
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, System
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTED_OUT: Mapping[str, int | str] = {"africastalking": 406, "legacy": "opted_out"}


@pytest.fixture
async def half(healthy: System) -> System:
    """Both providers have a role and no faults."""
    await healthy.put(Phase.GRADUAL_MIGRATION, 50)
    return healthy


def in_s(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def alerted(system: System, code: str) -> bool:
    found = (await system.steer.ask(control.Alerts)).data or {}
    return code in {each["code"] for each in found["alerts"]}


async def known_to_every_replica(system: System, before: int) -> None:
    """Wait until one more recipient is suppressed and every replica has read of it."""

    async def stored() -> bool:
        return await system.store["suppressions"].count_documents({}) == before + 1

    await until(stored, 10, lambda: "the opt-out is stored")
    await read_by_every_replica(system)


async def read_by_every_replica(system: System) -> None:
    """Wait until every replica has read the newest change of the list."""
    entered = (await system.store["suppressions"].find_one(sort=[("at", -1)]))["at"]
    since = entered + timedelta(seconds=1)  # a heartbeat under way may have read before

    async def read() -> bool:
        heartbeats = await system.store["replicas"].find({"at": {"$gt": since}}).to_list(None)
        return len(heartbeats) >= len(system.workers())

    await until(read, 10, lambda: "every replica has read it")


async def opts_out(system: System, provider: str, to: str, sender: str) -> None:
    """A provider tells us of an opt-out, the number written as `to`."""
    url = f"{system.stack.http[f'{provider}-control']}/optouts"
    async with system.http.post(url, json={"to": to, "from": sender}) as answer:
        assert answer.status == 200


async def is_never_sent_to(system: System, to: str, prefix: str) -> None:
    """On each lane, in a phase of both providers and in one of legacy alone."""
    for phase, percentage in ((Phase.GRADUAL_MIGRATION, 50), (Phase.ROLLBACK, 0)):
        await system.put(phase, percentage)
        for lane in ("transactional", "bulk"):
            name = f"{prefix}-{phase}-{lane}"
            await system.send(name, lane=lane, to=to)
            rejected = await system.told(name, "sms.rejected")
            assert rejected["reason"] == "recipient opted out"
            assert system.takers(name) == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_recipient_whom_a_provider_says_opted_out_is_never_sent_to_again(
    half: System, provider: str
) -> None:
    to, name = number_for(provider), f"refused-{provider}"
    before = await half.store["suppressions"].count_documents({})
    code = OPTED_OUT[provider]
    await half.faults(
        provider, {"match": {"text_regex": name}, "action": {"do": "refuse", "code": code}}
    )

    await half.send(name, to=to)

    await half.told(name, "sms.failed")
    assert half.takers(name) == []  # not handed to the other provider either
    await half.heal()
    await known_to_every_replica(half, before)
    await is_never_sent_to(half, to, name)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_recipient_who_opted_out_by_callback_is_never_sent_to_again(
    half: System, provider: str
) -> None:
    to, name = new_number(), f"callback-{provider}"
    before = await half.store["suppressions"].count_documents({})
    await half.send(name, to=to)
    await half.told(name, "sms.delivered")

    await opts_out(half, provider, to, "ACME")

    await known_to_every_replica(half, before)
    await is_never_sent_to(half, to, name)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_opt_out_of_one_sender_in_local_form_stops_that_one_until_it_is_taken_back(
    half: System, provider: str
) -> None:
    to, name = new_number(), f"local-{provider}"
    local = f"0{to.removeprefix('+260')}"
    before = await half.store["suppressions"].count_documents({})

    await opts_out(half, provider, local, "PROMO")

    await known_to_every_replica(half, before)
    await half.send(f"{name}-promo", to=to, senderId="PROMO")
    await half.send(f"{name}-code", to=to, senderId="BANK")
    assert (await half.told(f"{name}-promo", "sms.rejected"))["reason"] == "recipient opted out"
    await half.told(f"{name}-code", "sms.sent")

    await half.steer.do(control.RemoveSuppression, number=local, sender_id="PROMO")

    await read_by_every_replica(half)
    await half.send(f"{name}-again", to=to, senderId="PROMO")
    await half.told(f"{name}-again", "sms.sent")


async def test_an_opt_out_told_by_a_delivery_report_stops_the_other_provider_too(
    half: System,
) -> None:
    to, before = number_for("africastalking"), await half.store["suppressions"].count_documents({})
    report = {"status": "rejected", "reason": "UserInBlackList"}
    action = {"do": "answer", "reports": report}
    await half.faults("africastalking", {"match": {"text_regex": "#blocked"}, "action": action})

    await half.send("blocked", to=to, senderId="PROMO")

    await half.told("blocked", "sms.undelivered")
    await known_to_every_replica(half, before)
    await half.put(Phase.ROLLBACK, 0)
    await half.send("blocked-promo", lane="bulk", to=to, senderId="PROMO")
    await half.send("blocked-code", to=to, senderId="BANK")
    await half.told("blocked-promo", "sms.rejected")
    await half.told("blocked-code", "sms.sent")
    assert half.takers("blocked-promo") == []


async def test_an_opt_out_of_no_readable_number_is_a_dead_letter_and_an_alert(
    half: System,
) -> None:
    await opts_out(half, "legacy", "96xxxxxxx", "PROMO")

    await until(lambda: alerted(half, "opt-out-lost"), 10, lambda: "an alert says so")
    assert [each for each in half.dead.all if b"96xxxxxxx" in each["body"]]


async def test_a_sender_id_that_only_legacy_knows_goes_there_and_somebody_is_told(
    half: System,
) -> None:
    refusal = {"do": "refuse", "code": 402}
    await half.faults("africastalking", {"match": {"text_regex": "#branch-"}, "action": refusal})
    names = [f"branch-{n}" for n in range(8)]

    for name in names:
        await half.send(name, to=number_for("africastalking"), senderId="BRANCH")

    for name in names:
        await half.told(name, "sms.sent")
        assert half.takers(name) == ["legacy"]
    await until(lambda: alerted(half, "refusals"), 10, lambda: "an alert says so")


async def test_what_expired_before_it_came_is_not_sent(half: System) -> None:
    await half.send("too-late", expiresAt=in_s(-1))

    expired = await half.told("too-late", "sms.expired")

    assert expired["reason"] == "its life ended before it could be sent"
    assert half.takers("too-late") == []


async def refused_by_both(system: System, name: str) -> None:
    """Both providers prove that they do not take a message: it waits for its next round."""
    for provider, code in (("africastalking", 500), ("legacy", "unavailable")):
        refusal: dict[str, Any] = {"do": "refuse", "code": code}
        await system.faults(provider, {"match": {"text_regex": name}, "action": refusal})


async def test_what_expires_in_a_retry_tier_is_not_tried_again(half: System) -> None:
    await refused_by_both(half, "tier-late")

    await half.send("tier-late", expiresAt=in_s(3))

    failed = await half.told("tier-late", "sms.failed")
    assert failed["reason"] == "its life ended before a provider took it"
    assert half.takers("tier-late") == []
    for provider in PROVIDERS:
        (rule,) = (await half.provider_says(provider, "/faults"))["rules"]
        assert rule["hits"] == 1


async def test_one_command_delivered_twice_at_the_same_time_is_one_sms(half: System) -> None:
    for provider in PROVIDERS:
        await half.faults(provider, {"action": {"do": "answer", "latency_ms": 300}})
    names = [f"twin-{n}" for n in range(40)]
    numbers = {name: new_number() for name in names}

    for name in names:  # the broker deals them out in turn: most twins meet on two replicas
        await half.send(name, to=numbers[name])
        await half.send(name, to=numbers[name])

    waiting = retry_queue("5s")  # where a delivery waits that finds another replica at work

    async def waits() -> bool:
        return await half.dead.ready(waiting) > 0

    await until(waits, 5, lambda: "some twins met on two replicas")
    await asyncio.gather(*(half.told(name, "sms.sent") for name in names))
    await until(half.quiet, 30, lambda: "both deliveries of each are settled")
    for name in names:
        assert len(half.takers(name)) == 1, await half.story([name])
        assert half.events.names(name).count("sms.sent") == 1
