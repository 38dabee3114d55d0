"""Collects the facts of a whole system for the judge: journals, events, dead letters, records.

Rules: only of the commands that are given. The journals of the providers hold what they took, so
every call here was taken.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.torture.judge.facts import Call, DeadLetter, Event, Facts, LastRecord, Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.whole_system import System
    from tests.torture.judge.facts import Command, Fault


async def collect(
    system: System,
    commands: Mapping[str, Command],
    faults: Sequence[Fault],
    *,
    reports: bool = False,
) -> Facts:
    """Everything known of these commands, when the system has come to rest.

    Args:
        system: that had them.
        commands: by message id.
        faults: that were inflicted meanwhile.
        reports: whether the providers reported the delivery of each SMS they took.
    """
    taken = [line for line in system.taken() if line["key"] in commands]
    facts = await of_messages(system, commands, faults, taken, reports=reports)
    facts.queued = {where: [str(count)] for where, count in (await system.under_way()).items()}
    return facts


async def of_messages(
    system: System,
    commands: Mapping[str, Command],
    faults: Sequence[Fault],
    taken: Sequence[Mapping[str, Any]],
    *,
    reports: bool,
) -> Facts:
    """The same, of a system that is at work on others; `taken`: the journals' lines of these."""
    return Facts(
        commands=list(commands.values()),
        calls=[_call(line) for line in taken],
        events=[
            *(event for ident in commands for event in _copies(system, ident)),
            *(_event(body, 0.0) for body in system.events.changed),
        ],
        dead=[_letter(each) for ident in commands for each in system.dead.of(ident)],
        records=await _records(system, list(commands)),
        reports=[_report(line) for line in taken] if reports else [],
        faults=list(faults),
        ended_at=time.time(),
    )


def _call(line: Mapping[str, Any]) -> Call:
    at = datetime.fromisoformat(line["at"]).timestamp()
    return Call(line["key"], line["provider"], line["to"], at, taken=True, reference=line["id"])


def _copies(system: System, ident: str) -> Iterator[Event]:
    """Every event of a message, as often as it came."""
    wall = time.time() - time.monotonic()
    for body in system.events.of(ident):
        event_id = body["eventId"]
        event = _event(body, system.events.arrived[event_id] + wall)
        yield from [event] * system.events.deliveries[event_id]


def _event(body: Mapping[str, Any], at: float) -> Event:
    return Event(body["event"], body["messageId"], body["eventId"], at, body)


def _letter(noted: Mapping[str, Any]) -> DeadLetter:
    return DeadLetter(
        noted["messageId"] or None, noted["source"], noted["reason"], noted["attempts"]
    )


async def _records(system: System, idents: list[str]) -> list[LastRecord]:
    documents = system.store["messages"].find({"_id": {"$in": idents}})
    return [_record(document) async for document in documents]


def _record(document: Mapping[str, Any]) -> LastRecord:
    attempts = document.get("attempts", {})
    return LastRecord(
        document["_id"],
        document["state"],
        tuple(event["name"] for event in document.get("events", ())),
        len(document.get("unconfirmed", ())),
        tuple(
            (attempts[epoch]["provider"], attempts[epoch].get("result"))
            for epoch in sorted(attempts, key=int)
        ),
    )


def _report(line: Mapping[str, Any]) -> Report:
    """The report on an SMS: a simulator repeats it until the webhook has it."""
    at = datetime.fromisoformat(line["at"]).timestamp()
    return Report(
        line["provider"],
        line["id"],
        line["key"],
        delivered=True,
        at=at,
        names_ours=line["provider"] == "legacy",
    )
