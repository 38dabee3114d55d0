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
from pathlib import Path
from typing import Annotated

import typer

from worker.lab.simulator.server import Name, Simulator

app = typer.Typer(help="Simulated providers, for tests and demonstrations.", no_args_is_help=True)

_GRACE_S = 1.0

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free port.")]
ControlPort = Annotated[
    int, typer.Option(min=0, max=65_535, help="Port of the control endpoints that no fault shuts.")
]
Journal = Annotated[Path | None, typer.Option(help="JSON-lines file of every SMS taken.")]
ReportUrl = Annotated[str | None, typer.Option(help="Where delivery reports go.")]
OptoutUrl = Annotated[str | None, typer.Option(help="Where opt-outs go.")]
Username = Annotated[str | None, typer.Option(help="Default: anybody is let in.")]
Secret = Annotated[
    str | None,
    typer.Option(envvar="SIMULATE_SECRET", help="API key or password. Default: any is good."),
]
LatencyMs = Annotated[float, typer.Option(min=0, help="Wait before each answer, milliseconds.")]
Seed = Annotated[int, typer.Option(help="Of all chance.")]


@app.command()
def africastalking(
    *,
    host: Host = "127.0.0.1",
    port: Port = 0,
    control_port: ControlPort = 0,
    journal: Journal = None,
    report_url: ReportUrl = None,
    optout_url: OptoutUrl = None,
    username: Username = None,
    secret: Secret = None,
    latency_ms: LatencyMs = 0.0,
    seed: Seed = 0,
) -> None:
    """Africa's Talking: POST /version1/messaging, GET /version1/user."""
    _serve(
        "africastalking",
        host=host,
        port=port,
        control_port=control_port,
        journal=journal,
        report_url=report_url,
        optout_url=optout_url,
        username=username,
        secret=secret,
        latency_ms=latency_ms,
        seed=seed,
    )


@app.command()
def legacy(
    *,
    host: Host = "127.0.0.1",
    port: Port = 0,
    control_port: ControlPort = 0,
    journal: Journal = None,
    report_url: ReportUrl = None,
    optout_url: OptoutUrl = None,
    username: Username = None,
    secret: Secret = None,
    latency_ms: LatencyMs = 0.0,
    seed: Seed = 0,
) -> None:
    """The legacy gateway: JSON at POST /messages, Kannel at /cgi-bin/sendsms."""
    _serve(
        "legacy",
        host=host,
        port=port,
        control_port=control_port,
        journal=journal,
        report_url=report_url,
        optout_url=optout_url,
        username=username,
        secret=secret,
        latency_ms=latency_ms,
        seed=seed,
    )


def _serve(
    dialect: Name,
    *,
    host: str,
    port: int,
    control_port: int,
    journal: Path | None,
    report_url: str | None,
    optout_url: str | None,
    username: str | None,
    secret: str | None,
    latency_ms: float,
    seed: int,
) -> None:
    async def serve() -> None:
        await _run(
            Simulator(
                dialect,
                host=host,
                port=port,
                control_port=control_port,
                journal=journal,
                report_url=report_url,
                optout_url=optout_url,
                username=username,
                secret=secret,
                latency_ms=latency_ms,
                seed=seed,
            ),
            dialect,
        )

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
