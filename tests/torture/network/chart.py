"""Figures over time as text, at most 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH: Final = 80
_LABEL: Final = 28
_FIGURE: Final = 10


def chart(title: str, rows: Sequence[tuple[str, float]]) -> str:
    """A bar for each row, the longest as wide as there is room."""
    room = WIDTH - _LABEL - _FIGURE - 2
    most = max((figure for _, figure in rows), default=0.0) or 1.0
    lines = [
        f"{label[:_LABEL]:<{_LABEL}} {figure:>{_FIGURE - 1}.0f} {'#' * round(figure / most * room)}"
        for label, figure in rows
    ]
    return "\n".join([title, *(line.rstrip() for line in lines)])


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns of equal width, numbers to the right."""
    width = WIDTH // len(head)
    lines = [head, *rows]
    return "\n".join("".join(f"{each!s:>{width}}" for each in line) for line in lines)
