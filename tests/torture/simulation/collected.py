"""Collects the facts of a history from the servers, when everything has come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from contracts.names import Header, Queue
from tests.torture.judge.facts import DeadLetter, Entry, Facts, LastRecord
from tests.torture.simulation.fates import Fate
from tests.torture.simulation.scenario import Hit, Jump
from tests.torture.simulation.settings import DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.torture.simulation.broker.messages import Message
    from tests.torture.simulation.scenario import Scenario
    from tests.torture.simulation.world import World

UNSETTLED: Final = frozenset({"submitting", "waiting"})
DURABLE: Final = (
    Queue.TRANSACTIONAL,
    Queue.BULK,
    Queue.REPORTS,
    Queue.LOST,
    Queue.UNROUTED_COMMANDS,
    Queue.CONTROL_COMMAND,
    "sms.retry.5s",
    "sms.retry.30s",
    "sms.retry.2m",
    "sms.retry.10m",
)
"""Queues that are empty when everything has come to rest."""


def documents(world: World, collection: str) -> Iterable[dict[str, Any]]:
    """The documents of a collection, as the primary has them; to be read alone."""
    return world.store.newest(f"sms.{collection}")


def queued(world: World) -> dict[str, list[str]]:
    """What is in the queues, by queue."""
    ready = {str(name): world.messages_in(name) for name in DURABLE}
    return {name: [_id(message) for message in messages] for name, messages in ready.items()}


def unsettled(world: World) -> int:
    """How many records are not settled, or have events that are not confirmed."""
    return sum(
        document["state"] in UNSETTLED or bool(document["unconfirmed"])
        for document in documents(world, "messages")
    )


def facts(world: World) -> Facts:
    """All facts."""
    outside = world.outside
    return Facts(
        commands=list(outside.commands.values()),
        calls=[call for account in world.accounts.values() for call in account.journal],
        events=outside.events,
        dead=[_dead(message) for message in world.messages_in(Queue.DEAD)],
        records=[_record(document) for document in documents(world, "messages")],
        queued=queued(world),
        opt_outs=world.opt_outs,
        reports=outside.reports,
        steered=outside.facts_of_steering(),
        entries=[_entry(document) for document in documents(world, "control_log")],
        faults=world.faults,
        broken_ends=world.broken_ends,
        ended_at=world.clock.seconds(),
        travel_s=_travel_s(world.scenario),
    )


def _travel_s(scenario: Scenario) -> float:
    """How long after a look at a worker's clock a provider may get a message."""
    late = any(
        isinstance(step, Hit) and step.fate is Fate.LATE and step.server == "provider"
        for step in scenario.steps
    )
    behind_s = max((-step.by_s for step in scenario.steps if isinstance(step, Jump)), default=0.0)
    return 1.0 + (DEADLINE_S if late else 0.0) + max(behind_s, 0.0)


def _id(message: Message) -> str:
    return str(message.properties.message_id)


def _dead(message: Message) -> DeadLetter:
    headers = message.headers
    reason = headers.get(Header.REASON)
    return DeadLetter(
        message.properties.message_id,
        str(headers.get(Header.SOURCE)),
        None if reason is None else str(reason),
        headers.get(Header.ATTEMPTS),
    )


def _record(document: dict[str, Any]) -> LastRecord:
    attempts = sorted(document["attempts"].items(), key=lambda each: int(each[0]))
    return LastRecord(
        document["_id"],
        document["state"],
        tuple(event["name"] for event in document["events"]),
        len(document["unconfirmed"]),
        tuple((attempt["provider"], attempt.get("result")) for _, attempt in attempts),
    )


def _entry(document: dict[str, Any]) -> Entry:
    before, after = document["before"], document["after"]
    return Entry(
        number=document["_id"],
        version=document["version"],
        user=document["user"],
        command_id=document["commandId"],
        name=document["command"]["name"],
        verdict=document["verdict"],
        before=None if before is None else (before["phase"], before["percentage"]),
        after=(after["phase"], after["percentage"]),
        at=document["at"].timestamp(),
    )
