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
from worker.cli.planner.data import Climb, Plan, as_data
from worker.cli.planner.flags import document_of, parsed, write_flags
from worker.cli.planner.history import history
from worker.cli.planner.options import Planning
from worker.cli.planner.views import lines
from worker.domain.detection.forecast import NINE_OF_TEN, forecast, quantile, total
from worker.domain.detection.ladder import harm_of, recommend
from worker.domain.detection.obstacles import obstacles
from worker.domain.detection.phase_ladder import ladder_of, with_ladder
from worker.domain.detection.planning import Traffic
from worker.domain.detection.signals import Signal

if TYPE_CHECKING:
    from worker.cli.planner.history import History
    from worker.domain.migration.flags import Flags

USUAL: Final = {Signal.FAILED: 0.02, Signal.SLOW: 0.01, Signal.UNDELIVERED: 0.002}
_WITHIN: Final = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)([hdw])")
_DAYS: Final = {"h": 1.0 / 24.0, "d": 1.0, "w": 7.0}
_USUAL_DAYS: Final = 14.0
_LONGEST_DAYS: Final = 100_000.0
_REFUSED: Final = 1
_ALL_AT_ONCE: Final = (100,)


@options(Planning)
def plan(given: Planning) -> None:
    """Recommend a ladder for a volume, and forecast how long the proof of each share takes."""
    _require_numbers(given)
    asked = _shares(given.ladder)
    days = None if given.within is None else _days(given.within)
    past = history(given) if given.from_history else None
    document = document_of(given.flags, past, given.bound)
    made = _made(_traffic(given, past), parsed(document), asked, days, past)
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


def _made(
    traffic: Traffic,
    flags: Flags,
    asked: tuple[int, ...] | None,
    days: float | None,
    past: History | None,
) -> Plan:
    if asked is not None:
        climbs = [_climb("asked for", asked, traffic, with_ladder(flags, asked))]
        return Plan(traffic, tuple(climbs), days, _in_time(climbs[0], days), past=past)
    usual = _climb("default", ladder_of(flags.phases), traffic, flags)
    best, within = _recommended(traffic, flags, days)
    if best is None:
        return Plan(traffic, (usual,), within, in_time=False, past=past, found=False)
    at_once = harm_of(_ALL_AT_ONCE, traffic, flags)
    return Plan(traffic, (best, usual), within, _in_time(best, within), at_once, past)


def _recommended(traffic: Traffic, flags: Flags, days: float | None) -> tuple[Climb | None, float]:
    """Return the best ladder and its time: the given one, or the usual one doubled to fit."""
    within = days or _USUAL_DAYS
    while (best := recommend(traffic, flags, within)) is not None:
        if best.in_time or days is not None or within > _LONGEST_DAYS:
            shares = tuple(rung.share for rung in best.rungs)
            return _climb("recommended", shares, traffic, best.flags), within
        within *= 2.0
    return None, within


def _climb(name: str, shares: tuple[int, ...], traffic: Traffic, flags: Flags) -> Climb:
    rungs = forecast(shares, traffic, flags)
    harm = harm_of(shares, traffic, flags)
    return Climb(name, rungs, flags, harm, obstacles(rungs, traffic, flags))


def _in_time(climb: Climb, days: float | None) -> bool:
    spent = total([rung for rung in climb.rungs if not rung.unproved])
    return days is None or (bool(spent) and quantile(spent, NINE_OF_TEN) <= days)


# --- what is given -------------------------------------------------------------------------


def _traffic(given: Planning, past: History | None) -> Traffic:
    measured_a_day = past.per_day if past else None
    volume = given.per_day if given.per_day is not None else measured_a_day
    if volume is None:
        fail(
            "--per-day: expected messages a day of both providers, or --from-history; got neither",
            USAGE,
        )
    measured = past.rates if past else {}
    percent = (given.failure_rate, given.slow_rate, given.undelivered_rate)
    rates = {
        signal: rate / 100.0 if rate is not None else measured.get(signal, USUAL[signal])
        for signal, rate in zip(Signal, percent, strict=True)
    }
    if given.no_reports or (past and not past.reports[0]):
        del rates[Signal.UNDELIVERED]
    if past is None:
        return Traffic(volume, rates)
    return Traffic(volume, rates, past.reports[1], past.p95_ms)


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
        shares = tuple(int(part) for part in ladder.split(","))
    except ValueError:
        shares = ()
    rising = all(low < high for low, high in zip((0, *shares), shares, strict=False))
    if not shares or not rising or shares[-1] > 100:  # noqa: PLR2004 - per cent
        raise typer.BadParameter(f"--ladder: expected rising shares of 1 to 100, got {ladder!r}")
    return shares


def _days(within: str) -> float:
    parts = _WITHIN.fullmatch(within)
    days = float(parts[1]) * _DAYS[parts[2]] if parts else 0.0
    if not days:
        raise typer.BadParameter(f"--within: expected e.g. 36h, 14d or 4w, got {within!r}")
    return days
