"""Draws the answer of `ctl series`: the share and the failures over time, in 80 columns.

Rules: a column is one slot or several added up. Where nothing was counted, a column is empty, never
zero. Every axis says its highest value. Piped output is the same; a terminal or file that cannot
show block characters gets plain ones.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer
from pydantic import ValidationError
from rich.text import Text

from contracts.answers import SeriesAnswer
from contracts.control import Series
from worker.cli.ctl.ask import query
from worker.cli.ctl.screen import answer_parts
from worker.cli.ctl.views import line, print_json, show
from worker.cli.options import Asking, options
from worker.domain.migration.provider_names import display_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from contracts.answers import ProviderSeries, ShareChange
    from contracts.control import ControlReply

    Values = Sequence[float | None]

COLUMNS: Final = 64
SHARE_ROWS: Final = 5
FAILED_ROWS: Final = 3
LEAST_FAILED: Final = 1.0
"""The failures' axis ends here at least, per cent, so that one failure does not look like many."""
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_PLAIN: Final = ".,-=+*%#"
_FULL: Final = 100.0


@dataclass(frozen=True, slots=True)
class Chart:
    """One provider or the share over time; None: nothing was counted."""

    title: str
    values: Values
    top: float
    rows: int


def series_parts(reply: ControlReply, blocks: str = _BLOCKS) -> Iterator[RenderableType]:
    """Yield the charts and the changes of the share."""
    answer = _read(reply)
    if answer is None:
        yield from answer_parts(reply)
        return
    step = -(-_slots(answer) // COLUMNS)
    minutes = answer.slot_s * step / 60
    period = f"{answer.since:%Y-%m-%d %H:%M} to {answer.until:%Y-%m-%d %H:%M} UTC"
    yield line(f"{period}, a column is {minutes:g} min", "bold")
    for chart in _charts(answer, step):
        yield Text()
        yield line(chart.title)
        yield from map(Text, drawn(chart, blocks))
        yield Text(_ends(answer, len(chart.values)), "dim")
    yield Text()
    yield from _changes(answer)


def _read(reply: ControlReply) -> SeriesAnswer | None:
    """The answer; None: it is of another version, or cannot be drawn."""
    try:
        answer = SeriesAnswer.model_validate(reply.data)
    except ValidationError:
        return None
    shown = [answer.providers.get(name) for name in (answer.target, answer.legacy)]
    lengths = {
        len(column)
        for each in shown
        if each
        for column in (each.assigned, each.accepted, each.errors)
    }
    return answer if all(shown) and len(lengths) == 1 and lengths != {0} else None


def _slots(answer: SeriesAnswer) -> int:
    return len(answer.providers[answer.target].assigned)


def _charts(answer: SeriesAnswer, step: int) -> Iterator[Chart]:
    target, legacy = answer.providers[answer.target], answer.providers[answer.legacy]
    assigned = [one + two for one, two in zip(target.assigned, legacy.assigned, strict=True)]
    share = _percent(target.assigned, assigned, step)
    yield Chart(
        f"share sent to {display_name(answer.target)}, %{_last(share)}", share, _FULL, SHARE_ROWS
    )
    failed = {
        name: _failed(figures, step)
        for name, figures in ((answer.target, target), (answer.legacy, legacy))
    }
    known = (value for values in failed.values() for value in values if value is not None)
    top = max(known, default=0.0)
    for name, values in failed.items():
        title = f"failed at {display_name(name)}, %{_last(values)}"
        yield Chart(title, values, max(top, LEAST_FAILED), FAILED_ROWS)


def _failed(figures: ProviderSeries, step: int) -> list[float | None]:
    tried = [one + two for one, two in zip(figures.accepted, figures.errors, strict=True)]
    return _percent(figures.errors, tried, step)


def _percent(parts: Sequence[int], wholes: Sequence[int], step: int) -> list[float | None]:
    """The share in per cent of each `step` slots together; None: there is no whole."""
    found: list[float | None] = []
    for start in range(0, len(wholes), step):
        whole = sum(wholes[start : start + step])
        part = sum(parts[start : start + step])
        found.append(_FULL * part / whole if whole else None)
    return found


def _last(values: Values) -> str:
    known = [value for value in values if value is not None]
    return f" (last {known[-1]:.1f})" if known else " (nothing counted)"


def drawn(chart: Chart, blocks: str = _BLOCKS) -> list[str]:
    """The rows of a chart, the highest first, with the axis at the left."""
    rows = []
    for row in reversed(range(chart.rows)):
        label = {chart.rows - 1: f"{chart.top:.3g}", 0: "0"}.get(row, "")
        cells = "".join(_cell(value, chart, row, blocks) for value in chart.values)
        rows.append(f"{label:>6} |{cells}".rstrip())
    return rows


def _cell(value: float | None, chart: Chart, row: int, blocks: str) -> str:
    """The part of a column within one row; a value of 0 is the lowest block."""
    if value is None:
        return " "
    levels = len(blocks)
    height = max(round(value / chart.top * chart.rows * levels), 1)
    level = min(height - row * levels, levels)
    return blocks[level - 1] if level > 0 else " "


def _ends(answer: SeriesAnswer, columns: int) -> str:
    """The line below a chart: when it begins and ends."""
    first, last = f"{answer.since:%H:%M}", f"{answer.until:%H:%M}"
    return f"{'':>7}+{first}{last:>{max(columns - len(first), len(last) + 1)}}"


def _changes(answer: SeriesAnswer) -> Iterator[RenderableType]:
    if not answer.changes:
        yield line(f"no change; {answer.share} % in force throughout")
        return
    yield line(f"changes of the share, from {answer.share} %")
    for each in answer.changes:
        yield line(_change(each))


def _change(each: ShareChange) -> str:
    moved = f"{each.share_before} % -> {each.share_after} %"
    why = f": {each.reason}" if each.reason else ""
    return f"{each.at:%Y-%m-%d %H:%M:%S}  {moved}  {each.phase}  {each.user} ({each.command}){why}"


def _shown_blocks() -> str:
    try:
        _BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return _PLAIN
    return _BLOCKS


@options(Asking)
def series(
    given: Asking,
    *,
    hours: Annotated[
        float, typer.Option(min=0.01, max=24 * 366, help="Length of the period, which ends now.")
    ] = 24.0,
) -> None:
    """Draw the share and the failures of both providers over a period, and what was changed."""
    reply = query(given, Series, hours=hours)
    if given.as_json:
        print_json(reply)
    else:
        show(*series_parts(reply, _shown_blocks()))


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("series")(series)
