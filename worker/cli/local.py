"""`sms-worker local`: runs the whole system on this machine.

Rules: `up` stays in the foreground. Ctrl-C and SIGTERM stop everything in order; a second one only
speeds this up. Only `.local/stack.json` says what runs. `fault` speaks to a simulator's own control
address, which no fault closes.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import httpx
import typer

from worker.lab.local.parts import control_name
from worker.lab.local.process import LocalError
from worker.lab.local.record import end_leftovers, read_record
from worker.lab.local.stack import Stack

app = typer.Typer(help="The whole system on this machine.", no_args_is_help=True)

Directory = Annotated[Path, typer.Option("--directory", help="Where data, logs and stack.json go.")]

_DOWN_GRACE_S = 60.0
_NO_FAULT = "none"


@app.command()
def up(replicas: int = typer.Option(2, min=0), directory: Directory = Path(".local")) -> None:
    """Start everything and stay until Ctrl-C."""
    try:
        asyncio.run(_up(directory, replicas))
    except LocalError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


async def _up(directory: Path, replicas: int) -> None:
    running = asyncio.ensure_future(_run(directory, replicas))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
    typer.echo(f"stopped; data and logs stay in {directory} until the next start, or delete it")


async def _run(directory: Path, replicas: int) -> None:
    async with Stack(directory, replicas=replicas, say=typer.echo, console=True) as stack:
        typer.echo("Ctrl-C stops it")
        try:
            await stack.watch()
        finally:
            typer.echo("stopping")


@app.command()
def down(directory: Directory = Path(".local")) -> None:
    """Stop the stack that `up` started, from another terminal."""
    record = read_record(directory)
    if record is None:
        typer.echo("nothing runs")
        return
    asyncio.run(_down(directory))
    typer.echo("stopped")


async def _down(directory: Path) -> None:
    record = read_record(directory)
    if record is not None:
        await record.owner.id.end(_DOWN_GRACE_S)
        await end_leftovers(directory)


@app.command()
def status(directory: Directory = Path(".local")) -> None:
    """Show what runs and how to reach it."""
    record = read_record(directory)
    if record is None:
        typer.echo("nothing runs")
        raise typer.Exit(1)
    for process in (record.owner, *record.processes):
        state = "runs" if process.id.alive() else "ended"
        address = record.http.get(process.name, "")
        typer.echo(f"{process.name:<16} {state:<6} pid {process.pid:<8} {address}".rstrip())
    typer.echo(f"passwords and addresses: {directory / 'stack.json'}")
    if not (record.ready and record.owner.id.alive()):
        raise typer.Exit(1)


@app.command()
def fault(
    provider: Annotated[
        str, typer.Argument(metavar="PROVIDER", help="`africastalking` or `legacy`.")
    ],
    script: Annotated[
        str,
        typer.Argument(
            metavar="SCRIPT", help=f"Rules of the simulator, as JSON; `{_NO_FAULT}`: no fault."
        ),
    ],
    directory: Directory = Path(".local"),
) -> None:
    """Make a simulated provider fail, until another script comes."""
    record = read_record(directory)
    control = record and record.http.get(control_name(provider))
    if not control:
        typer.echo(f"{provider}: expected a simulated provider that runs, got none", err=True)
        raise typer.Exit(1)
    rules = "[]" if script == _NO_FAULT else script
    try:
        answer = httpx.put(f"{control}/faults", content=rules)
    except httpx.HTTPError as error:
        typer.echo(f"{provider}: {error}", err=True)
        raise typer.Exit(1) from None
    if answer.is_error:
        typer.echo(answer.json()["error"], err=True)
        raise typer.Exit(2)
    count = len(answer.json()["rules"])
    typer.echo(f"{provider}: {count} rules in force" if count else f"{provider}: no fault")
