"""Shows dead letters on a terminal.

Rules: text and number are hidden unless the body is asked for. Ids are never cut, because people
copy them. Times are UTC.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import typer

from worker.telemetry.logs import scrub

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from worker.handlers.dead_letters import DeadLetter

COLUMNS: Final = ("id", "source", "attempts", "first", "last", "recipient", "reason")


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns, without cutting anything."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if len(rows) > 1 else ():
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def row(letter: DeadLetter) -> tuple[str, ...]:
    """Return one row of the list."""
    recipient = letter.summary()["recipient"]
    return (
        letter.name,
        letter.source,
        "-" if letter.attempts is None else str(letter.attempts),
        _short(letter.first_at),
        _short(letter.last_at),
        recipient or "-",
        letter.reason,
    )


def _short(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "-"


def whole(letter: DeadLetter, *, with_body: bool) -> dict[str, Any]:
    """Return everything about one letter; its body in full only if `with_body`."""
    dead = letter.incoming
    properties = {
        "messageId": dead.message_id,
        "type": dead.type,
        "contentType": dead.content_type,
        "correlationId": dead.correlation_id,
        "timestamp": dead.timestamp,
    }
    return {
        **letter.summary(),
        "properties": {name: value for name, value in properties.items() if value is not None},
        "headers": {name: scrub(str(value)) for name, value in dead.headers.items()},
        "body": _body(letter) if with_body else letter.visible() or "(not a JSON object)",
    }


def _body(letter: DeadLetter) -> object:
    text = letter.incoming.body.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
