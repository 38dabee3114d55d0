"""Shows the demo to a person.

Rules: lines have up to 80 columns. A terminal gets colours and one status line; any other output
gets plain lines without control codes. Block characters are only used if the encoding has them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.lab.demo import timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import TextIO

    from rich.status import Status

    from worker.lab.demo.facts import Facts
    from worker.lab.demo.rows import Row

WIDTH: Final = 80
_IDS: Final = 8
"""Most message ids that are shown for a broken promise."""
_WORD: Final = {True: ("PASS", "green"), False: ("FAIL", "bold red"), None: ("", "")}


class Screen:
    """Prints the demo.

    Args:
        file: the output; default: standard output.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._console = Console(file=file, highlight=False, emoji=False, markup=False)
        self._console.width = WIDTH  # also in a wider window
        self._began = time.monotonic()
        self._status: Status | None = None

    def moving(self) -> AbstractContextManager[object]:
        """Show a status line inside the block, if the output is a terminal."""
        self._status = self._console.status("")
        return self._status

    def status(self, text: str) -> None:
        """Replace the status line."""
        if self._status is not None and self._console.is_terminal:
            self._status.update(text[: WIDTH - 3])

    def title(self, text: str) -> None:
        """Print the beginning of a scene."""
        self._print(text, style="bold")

    def say(self, text: str) -> None:
        """Print a line of progress, cut to the width."""
        self._print(f"  {text}")

    def _print(self, text: str, style: str = "") -> None:
        line = f"{time.monotonic() - self._began:6.1f} s  {text}"
        shown = line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
        self._console.print(Text(shown, style=style), soft_wrap=True)

    def verdict(self, rows: Sequence[Row], facts: Facts) -> None:
        """Print the table, the timeline, and the messages that broke promises."""
        self._console.print()
        edges = box.ROUNDED if self._console.is_terminal else box.ASCII2
        self._console.print(_table(rows, edges))
        self._console.print()
        for line in timeline.draw(facts.taken, facts.scenes, width=WIDTH, steps=self._steps()):
            self._console.print(Text(line), soft_wrap=True)
        self._console.print()
        for line in _broken(rows):
            self._console.print(Text(line), soft_wrap=True)

    def last(self, line: str, *, good: bool) -> None:
        """Print the verdict in one line."""
        self._console.print(Text(line, style="bold green" if good else "bold red"), soft_wrap=True)

    def where(self, line: str) -> None:
        """Print where logs and journals are."""
        self._console.print(Text(line), soft_wrap=True)

    def _steps(self) -> str:
        try:
            timeline.BLOCKS.encode(self._console.encoding)
        except UnicodeEncodeError:
            return timeline.ASCII
        return timeline.BLOCKS


def _table(rows: Iterable[Row], edges: box.Box) -> Table:
    table = Table(box=edges, width=WIDTH)
    table.add_column("promise", ratio=1)
    table.add_column("measured", overflow="fold", width=23)
    table.add_column("verdict", width=7)
    for row in rows:
        word, style = _WORD[row.holds]
        table.add_row(row.promise, row.measured, Text(word or "figure", style=style))
    return table


def _broken(rows: Iterable[Row]) -> Iterable[str]:
    for row in rows:
        if row.holds is False and row.broken_by:
            more = len(row.broken_by) - _IDS
            ids = ", ".join(row.broken_by[:_IDS])
            yield f"{row.promise}: {ids}{f' and {more} more' if more > 0 else ''}"
