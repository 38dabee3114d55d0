"""Options of `sms-worker plan`.

Rules: declared once, with their help; `cli.plan` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from worker.cli.options import Asking


@dataclass(frozen=True, kw_only=True)
class Planning(Asking):
    """What is planned, how the worker is asked where it is, and how the answer looks."""

    per_day: Annotated[
        float | None, typer.Option(min=1, help="Messages a day, both providers.")
    ] = None
    within: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time for all of it in 9 of 10 cases: 36h, 14d, 4w."),
    ] = None
    failure_rate: Annotated[
        float | None,
        typer.Option(min=0, max=99, help="Failures of both, per cent.", show_default="2"),
    ] = None
    slow_rate: Annotated[
        float | None,
        typer.Option(
            min=0, max=99, help="Slower than MaxResponseTimeMs, per cent.", show_default="1"
        ),
    ] = None
    undelivered_rate: Annotated[
        float | None,
        typer.Option(
            min=0, max=99, help="Accepted and never delivered, per cent.", show_default="0.2"
        ),
    ] = None
    no_reports: Annotated[
        bool, typer.Option("--no-reports", help="The target gives no delivery reports.")
    ] = False
    bound: Annotated[
        float | None,
        typer.Option(min=0.1, max=50, help="MaxErrorRate, per cent; default: of the flags."),
    ] = None
    ladder: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Forecast these shares alone, e.g. 1,5,25,50,100."),
    ] = None
    flags: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Plan by these flags."),
    ] = None
    from_history: Annotated[
        bool,
        typer.Option(
            "--from-history", help="Volume, rates and flags of the last days, from the worker."
        ),
    ] = False
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="Write flags that lead through the ladder."
        ),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="All of it as one JSON object.")] = False
