"""Declares the options of `sms-worker plan` with their help.

Rules: `cli.plan` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from worker.cli.options import Asking


@dataclass(frozen=True, kw_only=True)
class Planning(Asking):
    """What to plan, how to ask the worker, and how to print the answer."""

    per_day: Annotated[
        float | None, typer.Option(min=1, help="Messages a day, both providers.")
    ] = None
    within: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time limit that 9 of 10 cases keep: 36h, 14d, 4w."),
    ] = None
    failure_rate: Annotated[
        float | None,
        typer.Option(min=0, max=99, help="Failures of both providers, per cent.", show_default="2"),
    ] = None
    slow_rate: Annotated[
        float | None,
        typer.Option(
            min=0, max=99, help="Calls slower than MaxResponseTimeMs, per cent.", show_default="1"
        ),
    ] = None
    undelivered_rate: Annotated[
        float | None,
        typer.Option(
            min=0, max=99, help="Accepted but never delivered, per cent.", show_default="0.2"
        ),
    ] = None
    no_reports: Annotated[
        bool, typer.Option("--no-reports", help="The target gives no delivery reports.")
    ] = False
    bound: Annotated[
        float | None,
        typer.Option(min=0.1, max=50, help="MaxErrorRate, per cent; default: from the flags."),
    ] = None
    ladder: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Forecast only these shares, e.g. 1,5,25,50,100."),
    ] = None
    flags: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Plan with these flags."),
    ] = None
    from_history: Annotated[
        bool,
        typer.Option(
            "--from-history", help="Ask the worker for volume, rates and flags of the last days."
        ),
    ] = False
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="Write flags that lead through the ladder."
        ),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as one JSON object.")] = (
        False
    )
