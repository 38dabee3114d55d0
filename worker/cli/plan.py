"""`sms-worker plan`: how many messages and days each step of a ladder needs for its proofs.

Rules: needs nothing but its arguments. What it forecasts is the proofs; the rates a phase requires,
as measured, are asked for besides. A line comes as soon as it is known, and fits 80 columns.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from worker.domain.evidence import Signal
from worker.domain.flags import Flags, Thresholds
from worker.domain.phases import DEFAULT_RULES
from worker.domain.planning import ENDLESS, Rung, forecast

_LONG_DAYS: Final = 30.0


def plan(
    per_day: Annotated[float, typer.Option(min=1, help="Messages a day, both providers.")],
    failure_rate: Annotated[
        float, typer.Option(min=0, max=99, help="Failures of both, per cent.")
    ] = 2.0,
    slow_rate: Annotated[
        float, typer.Option(min=0, max=99, help="Slower than MaxResponseTimeMs, per cent.")
    ] = 1.0,
    undelivered_rate: Annotated[
        float, typer.Option(min=0, max=99, help="Accepted and never delivered, per cent.")
    ] = 0.2,
    no_reports: Annotated[
        bool, typer.Option("--no-reports", help="The target gives no delivery reports.")
    ] = False,
    bound: Annotated[float, typer.Option(min=0.1, max=50, help="MaxErrorRate, per cent.")] = 5.0,
    ladder: Annotated[
        str | None, typer.Option(metavar="LIST", help="Shares, e.g. 1,5,25,50,100.")
    ] = None,
) -> None:
    """Forecast what each share of the ladder takes to be proved."""
    rates = {Signal.FAILED: failure_rate / 100.0, Signal.SLOW: slow_rate / 100.0}
    if not no_reports:
        rates[Signal.UNDELIVERED] = undelivered_rate / 100.0
    flags = Flags(thresholds=Thresholds(max_error_rate=bound))
    shares = _shares(ladder)
    rungs: list[Rung] = []
    typer.echo(f"{'share':>6}  {'target messages':>15}  {'days':>8}  longest")
    for share in shares:
        rungs += forecast([share], per_day, rates, flags)
        typer.echo(_line(rungs[-1]))
    _conclude(rungs)


def _line(rung: Rung) -> str:
    if rung.messages is None or rung.days is None:
        words = ", ".join(str(each.signal) for each in rung.unproved)
        return f"{rung.share:>4} %  {'-':>15}  {'-':>8}  cannot be proved: {words}"
    long = f", over {_LONG_DAYS:g} days" if rung.days > _LONG_DAYS else ""
    return f"{rung.share:>4} %  {rung.messages:>15,.0f}  {rung.days:>8.2f}  {rung.waits_for}{long}"


def _conclude(rungs: list[Rung]) -> None:
    unproved = [rung.unproved for rung in rungs if rung.unproved]
    if unproved:
        typer.echo(f"warning: {len(unproved)} of {len(rungs)} steps cannot be proved")
        for each in dict.fromkeys(missing for rung in unproved for missing in rung):
            typer.echo(
                f"  {each.signal}: {each.rate:.2%} is not proved to be below {each.bound:.2%} "
                f"by {ENDLESS:,} messages"
            )
        raise typer.Exit(1)
    total = sum(rung.days or 0.0 for rung in rungs)
    typer.echo(f"about {total:.1f} days in all, minimum times by default included")


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
