"""Entries of the control log as CSV and as JSON lines.

Rules: pure. JSON lines are the entries as the worker gave them, like `ctl history --json`. In CSV a
cell that a spreadsheet would take for a formula begins with an apostrophe, because reasons are
texts of others.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from contracts.answers import LogEntryView

COLUMNS: Final = (
    "number", "at", "user", "command", "verdict", "code", "from", "to", "shareBefore",
    "shareAfter", "version", "reason", "overrideGates", "text", "commandId",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_head() -> str:
    """The first line."""
    return _line(COLUMNS)


def csv_line(entry: LogEntryView) -> str:
    """One entry."""
    command = entry.command
    cells = {
        "number": entry.number,
        "at": entry.at.isoformat() if entry.at else "",
        "user": entry.user,
        "command": command.get("name"),
        "verdict": entry.verdict,
        "code": entry.code,
        "from": entry.from_,
        "to": entry.to,
        "shareBefore": entry.share_before,
        "shareAfter": entry.share_after,
        "version": entry.version,
        "reason": command.get("reason"),
        "overrideGates": command.get("overrideGates"),
        "text": entry.text,
        "commandId": command.get("commandId"),
    }
    return _line(tuple(_cell(cells[name]) for name in COLUMNS))


def json_line(entry: LogEntryView) -> str:
    """One entry."""
    return json.dumps(entry.document(), ensure_ascii=False) + "\n"


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    is_number = isinstance(value, int)
    return f"'{text}" if text.startswith(_FORMULA) and not is_number else text


def _line(cells: tuple[str, ...]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()
