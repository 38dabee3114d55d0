"""`sms-worker simulate`: a simulated provider on a port of this machine.

Rules: when it listens, one JSON line on standard output says where; nothing else is printed.
SIGTERM and SIGINT end it cleanly: what is being answered gets a second, the journal is complete
at any time.
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
    """What a simulator is given, by the names that it knows."""

    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free port.")] = 0
    control_port: Annotated[
        int,
        typer.Option(min=0, max=65_535, help="Port of the control endpoints that no fault shuts."),
    ] = 0
    journal: Annotated[Path | None, typer.Option(help="JSON-lines file of every SMS taken.")] = None
    report_url: Annotated[str | None, typer.Option(help="Where delivery reports go.")] = None
    optout_url: Annotated[str | None, typer.Option(help="Where opt-outs go.")] = None
    username: Annotated[str | None, typer.Option(help="Default: anybody is let in.")] = None
    secret: Annotated[
        str | None,
        typer.Option(envvar="SIMULATE_SECRET", help="API key or password. Default: any is good."),
    ] = None
    latency_ms: Annotated[
        float, typer.Option(min=0, help="Wait before each answer, milliseconds.")
    ] = 0.0
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 0


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
