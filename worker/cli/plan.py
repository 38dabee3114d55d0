"""`sms-worker plan`: how many messages and days each step of a ladder needs for its proof.

Rules: needs nothing but its arguments. What it forecasts is the proof about failures
alone; delivery and response have requirements of their own. A line comes as soon as it is known.
"""

from __future__ import annotations

from typing import Annotated

import typer

from worker.domain.phases import DEFAULT_RULES
from worker.domain.planning import Rung, forecast


def plan(
    per_day: Annotated[float, typer.Option(min=1, help="Messages a day, both providers.")],
    failure_rate: Annotated[
        float, typer.Option(min=0, max=99, help="Failures of both, per cent.")
    ] = 2.0,
    bound: Annotated[float, typer.Option(min=0.1, max=50, help="MaxErrorRate, per cent.")] = 5.0,
    ladder: Annotated[
        str | None, typer.Option(metavar="LIST", help="Shares, e.g. 1,5,25,50,100.")
    ] = None,
) -> None:
    """Forecast what each share of the ladder takes to be proved."""
    shares = _shares(ladder)
    rungs: list[Rung] = []
    typer.echo(f"{'share':>6}  {'messages of the target':>22}  {'days':>8}")
    for share in shares:
        rungs += forecast([share], per_day, failure_rate / 100.0, bound / 100.0)
        typer.echo(_line(rungs[-1]))
    total = sum(rung.days or 0.0 for rung in rungs)
    unproved = [rung for rung in rungs if rung.messages is None]
    if unproved:
        typer.echo(f"warning: {len(unproved)} of {len(rungs)} steps cannot be proved")
        raise typer.Exit(1)
    typer.echo(f"about {total:.1f} days in all, minimum times by default included")


def _line(rung: Rung) -> str:
    messages = "-" if rung.messages is None else f"{rung.messages:,.0f}"
    days = "-" if rung.days is None else f"{rung.days:.2f}"
    return f"{rung.share:>4} %  {messages:>22}  {days:>8}  {rung.warning or ''}".rstrip()


def _shares(ladder: str | None) -> list[int]:
    if ladder is None:
        return sorted({step for rules in DEFAULT_RULES.values() for step in rules.steps})
    try:
        shares = [int(part) for part in ladder.split(",")]
    except ValueError:
        shares = []
    if not shares or not all(0 < share <= 100 for share in shares):  # noqa: PLR2004 - per cent
        raise typer.BadParameter(f"--ladder: expected shares of 1 to 100, got {ladder!r}")
    return shares
