"""What is still under way in a world, seen from outside.

Rules: it looks at queues, records and callbacks, never at what a worker says of itself. Messages in
a worker's hands cannot be seen; they are found when it has ended.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from contracts.names import RETRY_TIERS, Queue, retry_queue

if TYPE_CHECKING:
    from tests.torture.processes.world import World

_WAITING: Final = (Queue.TRANSACTIONAL, Queue.BULK, Queue.REPORTS, Queue.LOST)
QUEUES: Final = (*_WAITING, *map(retry_queue, RETRY_TIERS))
"""Where a command or a report may still be on its way."""
LAST_BREATH_S: Final = 0.3
SECOND_TRY: Final = timedelta(seconds=8)
"""A report whose next try is so far off was tried twice."""


async def queued(world: World) -> dict[str, int]:
    """How many messages wait in each queue that is not empty; those in hand do not count."""
    counts = await asyncio.gather(*(world.dead.ready(str(queue)) for queue in QUEUES))
    return {str(q): count for q, count in zip(QUEUES, counts, strict=True) if count}


async def under_way(world: World) -> list[str]:
    """What is still to come, as far as it can be seen from outside; empty: all is at rest."""
    pending = sum(each.reporter.summary()["pending"] for each in world.providers.values())
    if pending:
        return [f"{pending} callbacks of providers"]
    if unfinished := await _unfinished(world) or await _reports_to_match(world):
        return unfinished
    if strays := await _strays_to_come(world):
        return strays
    return [f"{count} messages in {queue}" for queue, count in (await queued(world)).items()]


async def _unfinished(world: World) -> list[str]:
    """Commands without a lasting record all of whose events are told."""
    lasting = {
        "_id": {"$in": list(world.commands)},
        "state": {"$nin": ["submitting", "waiting"]},
        "unconfirmed.0": {"$exists": False},
    }
    done = {each["_id"] async for each in world.store["messages"].find(lasting, {"_id": 1})}
    return [f"message {ident}" for ident in world.commands if ident not in done]


async def _reports_to_match(world: World) -> list[str]:
    """Stored reports that can be matched and are not.

    One that names an id which its provider's answer never brought us can only be the report of
    an unknown message to the same recipient.
    """
    found = []
    async for report in world.store["reports"].find({"matched": False}):
        named = [{"_id": report["messageId"]}, {"to.hash": report["to"], "state": "unknown"}]
        if "ref" in report:
            named.append({"refs": report["ref"]})
        if record := await world.store["messages"].find_one({"$or": named}):
            found.append(f"report of {report['provider']} on {record['_id']}")
    return found


async def _strays_to_come(world: World) -> list[str]:
    """Stray reports that were not tried a second time, or are not among the dead letters."""
    letters = b"".join(letter["body"] for letter in world.dead.all)
    found = [f"dead letter of {ident}" for ident in world.strays if ident.encode() not in letters]
    for ident in world.strays:
        stored = await world.store["reports"].find_one({"pid": ident})
        if stored is None or stored["nextAt"] - stored["receivedAt"] < SECOND_TRY:
            found.append(f"second try of {ident}")
    return found


async def in_hand(world: World) -> frozenset[str]:
    """Ids of messages whose intent is stored and whose outcome is not.

    What a process wrote with its last breath is applied a moment after its end.
    """
    held = {"_id": {"$in": list(world.commands)}, "state": "submitting"}
    while True:
        before = await world.store["messages"].distinct("_id", held)
        await asyncio.sleep(LAST_BREATH_S)
        if await world.store["messages"].distinct("_id", held) == before:
            return frozenset(before)
