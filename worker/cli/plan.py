"""`sms-worker plan`: recommends a ladder of shares, says how long it takes and what refuses it.

Rules: it needs only its arguments, and with `--from-history` the broker. Given rates come before
measured ones, and measured rates before usual ones. Exit codes: 0 the ladder can be climbed in
time, 1 a flag refuses it or the time is too short, 2 wrong usage; with `--from-history` also those
of `ctl`.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final

import typer

from worker.cli.ctl.ask import USAGE, fail
from worker.cli.options import options
from worker.cli.planner.data import as_data
from worker.cli.planner.flags import document_of, parsed, write_flags
from worker.cli.planner.history import history
from worker.cli.planner.options import Planning
from worker.cli.planner.views import lines
from worker.domain.detection.plan import plan_of, shares_in, traffic_of
from worker.domain.detection.signals import Signal

if TYPE_CHECKING:
    from worker.domain.detection.past import Past
    from worker.domain.detection.planning import Traffic

_WITHIN: Final = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)([hdw])")
_DAYS: Final = {"h": 1.0 / 24.0, "d": 1.0, "w": 7.0}
_REFUSED: Final = 1


@options(Planning)
def plan(given: Planning) -> None:
    """Recommend a ladder for a volume, and forecast how long the proof of each share takes."""
    _require_numbers(given)
    asked = _shares(given.ladder)
    days = None if given.within is None else _days(given.within)
    past = history(given) if given.from_history else None
    document = document_of(given.flags, past, given.bound)
    seen = past.seen if past else None
    traffic = _traffic(given, seen)
    made = plan_of(traffic, parsed(document), ladder=asked, days=days, past=seen)
    written = given.write if made.found else None
    if written is not None:
        write_flags(written, document, made.climbs[0])
    if given.as_json:
        typer.echo(json.dumps(as_data(made), ensure_ascii=False))
    else:
        for line in lines(made, written):
            typer.echo(line)
    if not made.possible:
        raise typer.Exit(_REFUSED)


# --- what is given -------------------------------------------------------------------------


def _traffic(given: Planning, past: Past | None) -> Traffic:
    measured_a_day = past.per_day if past else None
    volume = given.per_day if given.per_day is not None else measured_a_day
    if volume is None:
        fail(
            "--per-day: expected messages a day of both providers, or --from-history; got neither",
            USAGE,
        )
    percent = (given.failure_rate, given.slow_rate, given.undelivered_rate)
    pairs = zip(Signal, percent, strict=True)
    rates = {signal: rate / 100.0 for signal, rate in pairs if rate is not None}
    return traffic_of(volume, rates, past, no_reports=given.no_reports)


def _require_numbers(given: Planning) -> None:
    """Refuse NaN and infinity, which the bounds of the options let through."""
    for name in ("per_day", "failure_rate", "slow_rate", "undelivered_rate", "bound"):
        value = getattr(given, name)
        if value is not None and not math.isfinite(value):
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{option}: expected a number, got {value}")


def _shares(ladder: str | None) -> tuple[int, ...] | None:
    if ladder is None:
        return None
    try:
        return shares_in(ladder)
    except ValueError:
        text = f"--ladder: expected rising shares of 1 to 100, got {ladder!r}"
        raise typer.BadParameter(text) from None


def _days(within: str) -> float:
    parts = _WITHIN.fullmatch(within)
    days = float(parts[1]) * _DAYS[parts[2]] if parts else 0.0
    if not days:
        raise typer.BadParameter(f"--within: expected e.g. 36h, 14d or 4w, got {within!r}")
    return days
