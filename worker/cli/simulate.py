"""`sms-worker simulate`: runs a simulated provider on a port of this machine.

Rules: when it listens, it prints one JSON line with its addresses, and nothing else. SIGTERM and
SIGINT stop it cleanly: requests in progress get one second. The journal is complete at any time.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from worker.cli.options import options
from worker.lab.simulator.server import Name, Simulator

app = typer.Typer(help="Simulated providers, for tests and demonstrations.", no_args_is_help=True)

_GRACE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """Options of a simulator, named like its parameters."""

    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 0
    control_port: Annotated[
        int,
        typer.Option(min=0, max=65_535, help="Port of the control endpoints; no fault closes it."),
    ] = 0
    journal: Annotated[
        Path | None, typer.Option(help="File for every SMS taken, one JSON line each.")
    ] = None
    report_url: Annotated[str | None, typer.Option(help="Where delivery reports go.")] = None
    optout_url: Annotated[str | None, typer.Option(help="Where opt-outs go.")] = None
    username: Annotated[str | None, typer.Option(help="User name; default: any is accepted.")] = (
        None
    )
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="SIMULATE_SECRET", help="API key or password; default: any is accepted."
        ),
    ] = None
    latency_ms: Annotated[
        float, typer.Option(min=0, help="Wait before each answer, milliseconds.")
    ] = 0.0
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0


@app.command()
@options(Simulated)
def africastalking(given: Simulated) -> None:
    """Africa's Talking: POST /version1/messaging, GET /version1/user."""
    _serve("africastalking", given)


@app.command()
@options(Simulated)
def legacy(given: Simulated) -> None:
    """The legacy gateway: JSON at POST /messages, Kannel at /cgi-bin/sendsms."""
    _serve("legacy", given)


def _serve(dialect: Name, given: Simulated) -> None:
    async def serve() -> None:
        await _run(Simulator(dialect, **vars(given)), dialect)

    try:
        asyncio.run(serve())
    except OSError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


async def _run(simulator: Simulator, dialect: str) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await simulator.start()
    try:
        where = {
            "dialect": dialect,
            "url": simulator.base_url,
            "control_url": simulator.control_url,
        }
        sys.stdout.write(json.dumps(where) + "\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        await simulator.stop(_GRACE_S)
