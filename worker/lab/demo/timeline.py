"""Draws the sends per second, with one line for each provider.

Rules: pure. The height of a bar is relative to the highest of all. A column without a send is
blank, and one with a single send is visible.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.lab.demo.facts import Scene, Taken

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
ASCII: Final = " .:-=+*#@"
"""For terminals that cannot show blocks."""
_LABEL: Final = 16
_TOTAL: Final = 7


def draw(
    taken: Sequence[Taken],
    scenes: Sequence[Scene],
    *,
    width: int = 80,
    steps: str = BLOCKS,
) -> list[str]:
    """Draw lines of at most `width` characters: title, bars and total by provider, scenes."""
    if not taken:
        return ["no SMS was taken"]
    first, last = min(each.at for each in taken), max(each.at for each in taken)
    columns = width - _LABEL - _TOTAL
    totals = Counter(each.provider for each in taken)
    seconds = max((last - first) / columns, 0.001)
    counts = Counter((each.provider, _column(each.at, first, seconds, columns)) for each in taken)
    highest = max(counts.values())
    lines = [f"SMS taken a second (one column {seconds:.1f} s, highest {highest / seconds:.0f}/s)"]
    for provider in sorted(totals):
        bars = (_bar(counts[provider, column], highest, steps) for column in range(columns))
        lines.append(f"{provider:<{_LABEL}}{''.join(bars)}{totals[provider]:>{_TOTAL}}")
    return [*lines, _labels(scenes, first, seconds, columns)]


def _column(at: float, first: float, seconds: float, columns: int) -> int:
    return min(int((at - first) / seconds), columns - 1)


def _bar(count: int, highest: int, steps: str) -> str:
    top = len(steps) - 1
    return steps[0] if not count else steps[max(1, round(count / highest * top))]


def _labels(scenes: Sequence[Scene], first: float, seconds: float, columns: int) -> str:
    """Write each scene's label where it began. A label without room is left out."""
    line = " " * _LABEL
    for scene in scenes:
        column = _LABEL + max(0, _column(scene.began, first, seconds, columns))
        if column >= len(line.rstrip()) + (1 if line.strip() else 0):
            line = line.rstrip().ljust(column) + scene.label
    return line[: _LABEL + columns].rstrip()
