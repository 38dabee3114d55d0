"""`sms-worker evidence`: re-runs recorded automatic decisions and compares them bit for bit.

Rules: it reads the control log and changes nothing. A decision of another method version cannot be
re-run. It counts as differing, because silence would claim that it is the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from worker.cli.addresses import mongo_url
from worker.clock import SystemClock
from worker.domain.detection.rerun import replay, restored
from worker.domain.migration.snapshot import AUTOMATIC
from worker.ports.store import StoreUnavailable
from worker.store import control_log
from worker.store.client import Database
from worker.store.control_log import ControlLogStore

if TYPE_CHECKING:
    from worker.domain.migration.control_log import LogEntry

app = typer.Typer(help="What automation decided, and on which evidence.", no_args_is_help=True)
_TIMEOUT_S: Final = 10.0


@app.command("replay")
def replay_all(
    limit: Annotated[
        int, typer.Option(min=1, help="How many entries of the log to read, newest first.")
    ] = (10_000),
    database: Annotated[str, typer.Option(help="Name of the database.")] = "sms",
) -> None:
    """Re-run every automatic decision in the control log; exit code 1 if any differs."""
    try:
        entries = asyncio.run(_entries(database, limit))
    except StoreUnavailable as away:
        typer.echo(f"the database: {away}", err=True)
        raise typer.Exit(1) from None
    differing = 0
    for entry in entries:
        problem = differs(entry)
        differing += problem is not None
        typer.echo(f"{entry.number:>6}  {entry.command['name']:<22}  {problem or 'the same'}")
    typer.echo(f"{len(entries) - differing} of {len(entries)} decisions reproduced bit for bit")
    if differing:
        raise typer.Exit(1)


def differs(entry: LogEntry) -> str | None:
    """Return how a re-run differs from the recorded decision; None if it does not."""
    state = entry.before
    if state is None:
        return "no state before it is recorded"
    try:
        decision, known = replay(entry.evidence, state)
    except ValueError as error:
        return str(error)
    after: Any = entry.evidence["after"]
    if known != restored(after):
        return "other evidence"
    if decision is None:
        return "no decision"
    if (decision.name, decision.decision.text) != (entry.command["name"], entry.reply["text"]):
        return f"another decision: {decision.name}: {decision.decision.text}"
    return None if (decision.decision.after or state) == entry.after else "another state"


async def _entries(name: str, limit: int) -> list[LogEntry]:
    database = Database(mongo_url(), name, timeout_s=_TIMEOUT_S)
    try:
        log = ControlLogStore(database[control_log.COLLECTION], SystemClock())
        entries = await log.history(limit, None)
    finally:
        await database.close()
    return [e for e in reversed(entries) if e.user == AUTOMATIC and "method" in e.evidence]
