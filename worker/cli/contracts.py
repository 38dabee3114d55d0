"""`sms-worker contracts`: writes the wire contract as files, for readers of any language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import contracts
from contracts import export as generator

app = typer.Typer(no_args_is_help=True, help="The wire contract: JSON Schemas and AsyncAPI.")


@app.callback()
def _group() -> None:
    """Keep `export` a subcommand while it is the only one."""


@app.command()
def export(
    to: Annotated[
        Path | None, typer.Option(help="Directory; default: the one in the contracts package.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail when a file is stale.")
    ] = False,
) -> None:
    """Write the JSON Schemas and the AsyncAPI document."""
    directory = to or Path(contracts.__path__[0]) / "schemas"
    if not check:
        for name in generator.write(directory):
            typer.echo(f"changed {directory / name}")
        return
    stale = generator.stale(directory)
    for name in stale:
        typer.echo(f"stale: {directory / name}", err=True)
    if stale:
        typer.echo("run: sms-worker contracts export", err=True)
        raise typer.Exit(1)
