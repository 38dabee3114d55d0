"""Prints replies on a terminal.

Rules: text is readable at 80 columns; it is wrapped and never cut. Piped output has no control
codes. Refusals go to standard error, tables to standard output. With `--json`, only the reply is
printed, as it came.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TextIO

    from rich.console import RenderableType

    from contracts.control import ControlReply
    from contracts.control_views import GateView

WIDTH: Final = 80
_LITTLE: Final = 0.01
_SECOND_WORD: Final = re.compile(r"(?<=[a-z0-9])[A-Z](?![A-Z])")
_STYLE: Final = {"pass": "green", "fail": "bold red", "not enough data": "yellow"}


def console(file: TextIO | None = None) -> Console:
    """Return a console as wide as the terminal, or of 80 columns without one."""
    screen = Console(file=file or sys.stdout, highlight=False, emoji=False, markup=False)
    if not screen.is_terminal:
        screen.width = WIDTH
    return screen


def show(*parts: RenderableType) -> None:
    """Print to standard output; piped lines do not end in blanks."""
    screen = console()
    if screen.is_terminal:
        screen.print(*parts, sep="\n")
        return
    with screen.capture() as captured:
        screen.print(*parts, sep="\n")
    for shown in captured.get().splitlines():
        typer.echo(shown.rstrip())


def print_reply(reply: ControlReply, *, as_json: bool) -> None:
    """Print a reply."""
    if as_json:
        print_json(reply)
        return
    refused = reply.verdict == "refused"
    several = len(reply.problems) > 1
    lines = (f"{reply.name}: {reply.code}", *reply.problems) if several else (reply.text,)
    for each in filter(None, lines):
        typer.echo(clean(each), err=refused)
    if reply.gates:
        show(gate_table(reply.gates))
    if not refused and reply.version is not None and reply.code != ReplyCode.DRY_RUN:
        typer.echo(f"version {reply.version}")


def print_json(reply: ControlReply) -> None:
    """Print a reply as it crossed the wire, on one line."""
    typer.echo(reply.model_dump_json(by_alias=True, exclude_none=True))


def gate_table(gates: Sequence[GateView]) -> Table:
    """Return a table of gates: required, measured, sample, verdict, and what is missing."""
    gate_rows = table("gate", "required", "measured", "sample", "verdict")
    for each in gates:
        verdict = each.verdict + (f": {each.missing}" if each.missing else "")
        style = _STYLE.get(each.verdict, "")
        sample = "-" if each.sample is None else str(each.sample)
        texts = map(clean, (each.gate, each.required, each.measured))
        gate_rows.add_row(*texts, sample, line(verdict, style))
    return gate_rows


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table without border lines."""
    empty = Table(box=None, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for name in columns:
        empty.add_column(name, overflow="fold", header_style="dim")
    return empty


def facts(pairs: Iterable[tuple[str, Any]]) -> Table:
    """Return a table of names and values, one pair per line."""
    rows = Table(box=None, show_header=False, pad_edge=False)
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for name, value in pairs:
        rows.add_row(name, Text(plain(value)))
    return rows


def side_by_side(
    columns: Mapping[str, Mapping[str, Any]], title: str | None = None, *, only_some: bool = False
) -> Table:
    """Return a table with one column per thing (a provider) and one row per figure.

    Args:
        columns: figures by name; each figure of a group gets its own row.
        title: of the table.
        only_some: leave out rows that are zero or empty in every column.
    """
    shown = table("", *columns, title=title)
    flat = [dict(_flat(figures)) for figures in columns.values()]
    for name in dict.fromkeys(name for figures in flat for name in figures):
        values = [figures.get(name) for figures in flat]
        if any(values) or not only_some:
            shown.add_row(name, *(Text(plain(value)) for value in values))
    return shown


def _flat(figures: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{words(name)}: ")
        else:
            yield before + words(name), value


def clean(text: str) -> str:
    """Replace control characters, because text of others must not control the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def line(text: str, style: str = "") -> Text:
    """Return a clean line of text that others may have written."""
    return Text(clean(text), style=style)


def words(name: str) -> str:
    """Turn `successRate` into `success rate`; a name in capitals (`ZMW`) stays."""
    return _SECOND_WORD.sub(lambda match: f" {match.group().lower()}", name)


def plain(value: Any) -> str:
    """Format any value for people; a worker may answer with values that we do not know."""
    match value:
        case {"amount": amount, "currency": currency, **rest} if not rest:
            return f"{plain(amount)} {plain(currency)}"
        case dict():
            pairs = (f"{words(clean(str(key)))} {plain(each)}" for key, each in value.items())
            return ", ".join(pairs) or "-"
        case list() | tuple() | set() | frozenset():
            return ", ".join(map(plain, value)) or "none"
        case _:
            return _scalar(value)


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float() | Decimal():
            return _number(value)
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        case _:
            return clean(str(value))


def _number(value: float | Decimal) -> str:
    """Format with two decimals, or with more where two would show zero for a small value."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if value and abs(value) < _LITTLE:
        return f"{value:.2g}"
    return f"{value:.2f}".removesuffix("0").removesuffix("0").removesuffix(".")
