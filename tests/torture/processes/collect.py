"""Collects the facts of one world for the judge."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.torture.judge.facts import Call, DeadLetter, Entry, Event, Facts, LastRecord, Report
from tests.torture.processes.at_rest import queued
from tests.torture.processes.world import LEGACY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.torture.judge.facts import Fault
    from tests.torture.processes.world import World


async def facts(world: World, faults: Iterable[Fault]) -> Facts:
    """Everything that is known of the world's messages when it has come to rest."""
    return Facts(
        commands=list(world.commands.values()),
        calls=list(_calls(world)),
        events=list(_events(world)),
        dead=list(_dead(world)),
        records=[record async for record in _records(world)],
        queued={queue: ["?"] * count for queue, count in (await queued(world)).items()},
        reports=list(_reports(world)),
        steered=list(world.steered),
        entries=[entry async for entry in _entries(world)],
        faults=list(faults),
        ended_at=time.time(),
    )


def _calls(world: World) -> Iterator[Call]:
    for provider, simulator in world.providers.items():
        for entry in simulator.journal:
            if entry.key in world.commands:
                at = datetime.fromisoformat(entry.at).timestamp()
                yield Call(entry.key, provider, entry.to, at, taken=True, reference=entry.id)


def _events(world: World) -> Iterator[Event]:
    for body in world.events.all:
        if body.get("messageId") in world.commands:
            at = datetime.fromisoformat(body["occurredAt"]).timestamp()
            event = Event(body["event"], body["messageId"], body["eventId"], at, body)
            yield from [event] * world.events.deliveries[body["eventId"]]


def _dead(world: World) -> Iterator[DeadLetter]:
    for letter in world.dead.all:
        if letter["messageId"] in world.commands:
            yield DeadLetter(
                letter["messageId"], letter["source"], letter["reason"], letter["attempts"]
            )
        if any(ident.encode() in letter["body"] for ident in world.strays):
            yield DeadLetter(None, letter["source"], letter["reason"])


async def _records(world: World) -> Any:
    async for document in world.store["messages"].find({"_id": {"$in": list(world.commands)}}):
        yield LastRecord(
            message_id=document["_id"],
            state=document["state"],
            events=tuple(event["name"] for event in document.get("events", ())),
            unconfirmed=len(document.get("unconfirmed", ())),
            attempts=tuple(
                (attempt["provider"], attempt.get("result"))
                for attempt in document.get("attempts", {}).values()
            ),
        )


def _reports(world: World) -> Iterator[Report]:
    """A simulator repeats each callback until the webhook has confirmed it."""
    for provider, simulator in world.providers.items():
        if simulator.reporter.summary()["given_up"]:
            raise AssertionError(f"{provider}: a report was never taken by the webhook")
        for entry in simulator.journal:
            if entry.key in world.commands and world.reports:
                at = datetime.fromisoformat(entry.at).timestamp()
                yield Report(
                    provider, entry.id, entry.key, delivered=True, at=at,
                    names_ours=provider == LEGACY,
                )  # fmt: skip


async def _entries(world: World) -> Any:
    async for document in world.store["control_log"].find().sort("_id"):
        before = document["before"]
        yield Entry(
            number=document["_id"],
            version=document["version"],
            user=document["user"],
            command_id=document["commandId"],
            name=document["command"].get("name", ""),
            verdict=document["verdict"],
            before=_standing(before) if before else None,
            after=_standing(document["after"]),
            at=document["at"].timestamp(),
        )


def _standing(state: Any) -> tuple[str, int]:
    return state["phase"], state["percentage"]
