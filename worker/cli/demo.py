"""`sms-worker local demo`: runs the whole migration on this machine and prints a verdict.

Rules: exit code 0 only if every promise held. Ctrl-C and SIGTERM stop everything in order.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from worker.lab.demo.run import run
from worker.lab.demo.screen import Screen
from worker.lab.local.process import LocalError

Directory = Annotated[Path, typer.Option("--directory", help="Where data, logs and journals go.")]

_INTERRUPTED = 130


def demo(directory: Directory = Path(".local/demo")) -> None:
    """Move traffic from legacy to Africa's Talking with faults in between (under 3 minutes)."""
    try:
        held = asyncio.run(_demo(directory))
    except LocalError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except asyncio.CancelledError:
        typer.echo("stopped", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    if not held:
        raise typer.Exit(1)


async def _demo(directory: Path) -> bool:
    running = asyncio.ensure_future(run(directory, Screen()))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    return await running
