"""Ten thousand messages, faults of every kind at both providers, one replica killed: the account.

The journals of the providers are the truth; events and records are what is judged by it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from tests.support.account import Account
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, SETTLES, System
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGES: Final = 10_000
KILL_AFTER: Final = 3_000
WITHIN_S: Final = 110.0
FAULT_RATE: Final = 0.1

WIRE_FAULTS: Final[tuple[tuple[float, Mapping[str, Any]], ...]] = (
    (4, {"do": "http", "status": 500}),
    (4, {"do": "http", "status": 502, "taken": True}),
    (4, {"do": "http", "status": 503}),
    (4, {"do": "http", "status": 503, "taken": True}),
    (1, {"do": "http", "status": 429, "headers": {"Retry-After": "0.2"}}),
    (4, {"do": "garbage"}),
    (4, {"do": "garbage", "taken": False}),
    (4, {"do": "half_body"}),
    (3, {"do": "hang"}),
    (3, {"do": "hang", "taken": True}),
    (4, {"do": "reset"}),
    (4, {"do": "reset", "taken": True}),
    (4, {"do": "close"}),
    (4, {"do": "close", "taken": False}),
    (4, {"latency_ms": {"median": 300, "p95": 900}}),
    (2, {"latency_ms": 3000}),
)
"""Weight and action. 429 pauses the whole account and 405 opens the breaker: few do for all."""
CODES: Final[Mapping[str, tuple[tuple[float, int | str], ...]]] = {
    "africastalking": (
        *((3, code) for code in (402, 403, 404, 406, 407, 409)),
        *((6, code) for code in (500, 501, 502)),
        *((3, code) for code in (401, 408)),
        (1, 405),
        (1, "InvalidSenderId"),
    ),
    "legacy": (
        *((3, code) for code in ("invalid_recipient", "opted_out", "not_routable", "internal")),
        *((6, code) for code in ("unavailable", "invalid_request")),
        *((1, code) for code in ("insufficient_balance", "account_suspended", "throttled")),
        (1, "invalid_sender"),
        (1, "unauthorized"),
    ),
}


def script(provider: str) -> list[dict[str, Any]]:
    """One request in ten meets a fault; what goes well is not reported, which halves the load."""
    actions = [
        *({"weight": weight, "action": action} for weight, action in WIRE_FAULTS),
        *(
            {"weight": weight, "action": {"do": "refuse", "code": code}}
            for weight, code in CODES[provider]
        ),
        {"weight": 2, "action": {"do": "http", "status": 401}},
    ]
    return [
        {"match": {"rate": FAULT_RATE}, "action": {"do": "close_before_reading"}},
        {"match": {"rate": FAULT_RATE}, "weighted": actions},
        {"action": {"do": "answer", "reports": {"send": False}}},
    ]


async def accounted(system: System) -> int:
    """Messages that upstream knows the end of, or that they are held."""
    ends = SETTLES | {"sms.unknown"}
    return sum(any(name in ends for name in system.events.names(ident)) for ident in system.sent)


async def run(system: System) -> dict[str, float]:
    """Publish, kill and replace a replica in mid-traffic, wait for the account to be complete."""
    began = time.monotonic()
    lanes = ("transactional", "bulk")
    publishing = asyncio.ensure_future(
        system.send_many((f"m-{n}", lanes[n % 2]) for n in range(MESSAGES))
    )

    async def enough() -> bool:
        return await accounted(system) >= KILL_AFTER

    await until(enough, WITHIN_S, lambda: "mid-traffic")
    await system.stack.kill(0)
    killed = time.monotonic() - began
    await system.stack.add_replica()
    await publishing
    published = time.monotonic() - began

    async def complete() -> bool:
        return await accounted(system) == MESSAGES and await system.quiet()

    async def missing() -> str:
        silent = [i for i in system.sent if not SETTLES & set(system.events.names(i))]
        return await system.story(silent, f"{len(silent)} not accounted for")

    await until(complete, WITHIN_S, missing)
    return {"published": published, "killed": killed, "complete": time.monotonic() - began}


async def test_of_ten_thousand_none_is_lost_and_none_on_bulk_is_doubled(system: System) -> None:
    await system.put(Phase.GRADUAL_MIGRATION, 50)
    for seed, provider in enumerate(PROVIDERS):
        await system.faults(provider, *script(provider), seed=seed)

    times = await run(system)

    account = Account(system)
    print(await summary(system, account, times))  # noqa: T201 - shown with -s and on a failure
    await account.check()
    await check_variety(system)


async def check_variety(system: System) -> None:
    """The run was worth something: half went to the target, and every fault was met."""
    shares = Counter(line["provider"] for line in system.taken())
    assert 0.35 < shares["africastalking"] / shares.total() < 0.6
    for provider in PROVIDERS:
        rules = (await system.provider_says(provider, "/faults"))["rules"]
        assert rules[0]["hits"] > 0
        assert rules[1]["hits"] > 0.07 * rules[1]["seen"]


async def summary(system: System, account: Account, times: Mapping[str, float]) -> str:
    """Counts and durations of the run."""
    ends: Counter[str] = Counter()
    for ident, sent in system.sent.items():
        names = set(system.events.names(ident))
        end = next(iter(names & SETTLES), "held unknown")
        if end == "sms.sent" and "sms.unknown" in names:
            end = "sms.sent after sms.unknown"
        ends[f"{sent.lane}: {end}"] += 1
    doubled = Counter(
        system.sent[i].lane for i, takers in account.takers.items() if len(takers) > 1
    )
    shares = Counter(provider for takers in account.takers.values() for provider in takers)
    repeated = sum(count > 1 for count in system.events.deliveries.values())
    lines = [
        "",
        *(f"{key:<45} {count}" for key, count in sorted(ends.items())),
        f"doubled: {dict(doubled)}; taken by: {dict(shares)}; events repeated: {repeated}",
        "; ".join(f"{key} after {value:.1f} s" for key, value in times.items()),
    ]
    asked = [(each, await system.provider_says(each, "/requests/summary")) for each in PROVIDERS]
    return "\n".join([*lines, *(f"{provider}: {answers}" for provider, answers in asked)])
