"""What waits moves with the state in force; what nobody can take now waits, uncounted."""

from __future__ import annotations

import signal
from typing import Any, Final

from contracts.names import retry_queue
from tests.support.account import Account
from tests.support.recipients import number_for
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, System
from worker.domain.migration.phases import Phase

PROFILE: Final = {"SMS_TARGET__BREAKER__OPEN_S": "4", "SMS_LEGACY__BREAKER__OPEN_S": "4"}
"""Long enough that the providers are back before the first probe."""
WITHIN_S: Final = 45.0
LANES: Final = ("transactional", "bulk")
PAUSED: Final = "paused: no provider takes more now"


async def hits(system: System, provider: str) -> int:
    """Requests that met a fault of the script in force."""
    rules = (await system.provider_says(provider, "/faults"))["rules"]
    return sum(rule["hits"] for rule in rules)


async def test_what_waits_for_a_retry_goes_to_legacy_after_a_rollback(healthy: System) -> None:
    await healthy.put(Phase.COMPLETE_MIGRATION, 100)
    await healthy.faults("africastalking", {"action": {"do": "refuse", "code": 500}})
    await healthy.faults("legacy", {"action": {"do": "refuse", "code": "unavailable"}})
    names = [f"waiting-{lane}" for lane in LANES]
    for name, lane in zip(names, LANES, strict=True):
        await healthy.send(name, lane=lane)

    async def waits() -> bool:
        return await healthy.dead.ready(retry_queue("5s")) == len(names)

    await until(waits, 10, lambda: "both wait in the first tier")
    assert await hits(healthy, "africastalking") == len(names)
    await healthy.put(Phase.ROLLBACK, 0)
    await healthy.faults("legacy")

    for name in names:
        sent = await healthy.told(name, "sms.sent", WITHIN_S)
        assert (sent["provider"], sent["attempt"]) == ("legacy", 3)
        assert sent["reason"] == "phase Rollback: legacy alone"
        assert healthy.takers(name) == ["legacy"]
    assert await hits(healthy, "africastalking") == len(names)  # not asked again


async def lanes_say(system: System, what: str) -> bool:
    """Whether both lanes of every replica say so on `/ready`, which stays 200."""
    answers = [await system.ready(name) for name, _ in system.workers()]
    return all(
        status == 200 and body["checks"][lane]["reason"] == what
        for status, body in answers
        for lane in LANES
    )


async def test_while_both_breakers_are_open_the_lanes_pause_and_go_on_after_the_probe(
    healthy: System,
) -> None:
    await healthy.put(Phase.GRADUAL_MIGRATION, 50)
    for provider in PROVIDERS:
        await healthy.faults(provider, {"action": {"do": "unreachable"}})

    numbers: list[tuple[str, str, str]] = [
        (f"dark-{provider}-{lane}-{n}", lane, number_for(provider))
        for n in range(15)
        for lane in LANES
        for provider in PROVIDERS
    ]
    for name, lane, to in numbers:
        await healthy.send(name, lane=lane, to=to)

    async def paused() -> bool:
        return await lanes_say(healthy, PAUSED)

    await until(paused, 20, lambda: says(healthy))
    await healthy.send("dark-late")
    assert not [line for line in healthy.taken() if line["key"].startswith("dark-")]
    await healthy.heal()

    for name in (*(name for name, _, _ in numbers), "dark-late"):
        await healthy.told(name, "sms.sent", WITHIN_S)
    await until(healthy.quiet, WITHIN_S, lambda: says(healthy))
    account = Account(healthy, "dark-")
    await account.check()
    assert all(len(takers) == 1 for takers in account.takers.values())
    await nobody_is_counted_for_the_pause(healthy, account)
    assert await lanes_say(healthy, "consuming")


async def nobody_is_counted_for_the_pause(system: System, account: Account) -> None:
    """Only calls that were made count as failed rounds: the budget is not eaten by waiting."""
    for name in account.takers:
        record: dict[str, Any] | None = await system.record(name)
        assert record is not None
        calls = len(record["attempts"]) - 1
        assert record["failedRounds"] <= calls, await system.story([name])


async def says(system: System) -> str:
    """For a failure: what the replicas say of themselves."""
    return str([(name, await system.ready(name)) for name, _ in system.workers()])


PAUSES: Final = {"action": {"do": "http", "status": 429, "headers": {"Retry-After": "60"}}}
NO_ROUTE: Final = {"action": {"do": "refuse", "code": 407}}
"""A proof of not sent that opens no breaker."""


async def test_a_proof_of_not_sent_survives_the_end_of_every_replica_while_legacy_is_paused(
    healthy: System,
) -> None:
    await healthy.put(Phase.GRADUAL_MIGRATION, 50)
    await healthy.faults("legacy", PAUSES)
    await healthy.faults("africastalking", NO_ROUTE)
    names = [f"proof-{n}" for n in range(12)]

    async def waiting() -> bool:
        found = [await healthy.record(name) for name in names if name in healthy.sent]
        return all(record is not None and record["state"] == "waiting" for record in found)

    for number, name in enumerate(names):
        first = "legacy" if number < 4 else "africastalking"  # the first pause it, on each replica
        await healthy.send(name, lane=LANES[number // 2 % 2], to=number_for(first))
        await until(waiting, 10, lambda: healthy.story(names, "proved, and not written"))
    (_, told_to_stop), (_, killed) = healthy.workers()
    told_to_stop.signal(signal.SIGTERM)
    await killed.kill()
    assert await told_to_stop.wait() == 0, told_to_stop.tail()
    await healthy.heal()
    for _ in range(2):
        await healthy.stack.add_replica()

    for name in names:
        await healthy.told(name, "sms.sent", WITHIN_S)
        assert len(healthy.takers(name)) == 1
    assert not [name for name in names if healthy.events.first(name, "sms.unknown")]
