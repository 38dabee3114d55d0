"""`sms-worker state`: what is in force.

Rules: `set` appends to the control log like any command; it is a stop-gap of local runs.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import typer

from worker.cli.addresses import mongo_url
from worker.clock import SystemClock
from worker.domain.phases import LEGACY_ALONE, Phase
from worker.ports import LogEntry
from worker.store import control_log
from worker.store.client import Database
from worker.store.control_log import ControlLogStore

if TYPE_CHECKING:
    from worker.domain.flags import Snapshot

app = typer.Typer(help="What is in force.", no_args_is_help=True)


@app.command("show")
def show() -> None:
    """Print phase, percentage and version."""
    asyncio.run(_show())


@app.command("set")
def set_(phase: Phase, percentage: int = typer.Option(..., min=0, max=100)) -> None:
    """Put a phase and a percentage in force."""
    if phase in LEGACY_ALONE and percentage:
        typer.echo(f"percentage: expected 0 in phase {phase}, got {percentage}", err=True)
        raise typer.Exit(2)
    asyncio.run(_set(phase, percentage))


def _log() -> tuple[Database, ControlLogStore]:
    database = Database(mongo_url(), os.environ.get("SMS_MONGO_DATABASE", "sms"), timeout_s=5.0)
    return database, ControlLogStore(database[control_log.COLLECTION], SystemClock())


async def _show() -> None:
    database, log = _log()
    try:
        last = await log.last()
        _print(last[1] if last else None)
    finally:
        await database.close()


async def _set(phase: Phase, percentage: int) -> None:
    database, log = _log()
    try:
        last = await log.last()
        if last is None:
            typer.echo("nothing is in force yet: start a worker first", err=True)
            raise typer.Exit(1)
        number, before = last
        after = replace(before, version=before.version + 1, phase=phase, percentage=percentage)
        entry = LogEntry(
            number=number + 1,
            user="state set",
            command_id=uuid4().hex,
            command={"name": "state set", "phase": str(phase), "percentage": percentage},
            verdict="accepted",
            before=before,
            after=after,
            reply={},
            evidence={},
        )
        await log.append(entry)
        _print(after)
    finally:
        await database.close()


def _print(snapshot: Snapshot | None) -> None:
    if snapshot is None:
        typer.echo("nothing is in force yet")
        return
    typer.echo(f"version {snapshot.version}  {snapshot.phase}  {snapshot.percentage} %")
