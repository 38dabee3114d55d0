"""Pieces of SVG: the outer element with its sentence, lines through points, axes.

Rules: texts are escaped by `Markup`. A missing value makes a gap in a line, never a zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Point = tuple[float, float]
_NICE: Final = (1, 2, 4, 6, 10, 20, 30, 40, 60, 80, 100)


def picture(ident: str, size: tuple[int, int], sentence: str, *parts: Markup) -> Markup:
    """An image with a sentence as its name.

    Args:
        ident: unique in the page.
        size: width and height of its coordinates.
        sentence: what it shows.
        parts: its content.
    """
    width, height = size
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-t">'
        '<title id="{}-t">{}</title>{}</svg>'
    ).format(width, height, ident, ident, sentence, Markup("").join(parts))


def text(at: Point, words: str, kind: str, anchor: str = "start") -> Markup:
    """Words in a picture; their colour and size come from the class."""
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(
        number(at[0]), number(at[1]), kind, anchor, words
    )


def line(begin: Point, end: Point, kind: str) -> Markup:
    """A straight line."""
    return Markup('<path d="M{} {}L{} {}" class="{}"/>').format(*map(number, (*begin, *end)), kind)


def box(at: Point, size: Point, kind: str) -> Markup:
    """A rectangle."""
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>').format(
        *map(number, (*at, *size)), kind
    )


def path(points: Iterable[Point | None], kind: str) -> Markup:
    """A line through points; None: a gap."""
    return Markup('<path d="{}" class="{}"/>').format(_through(points), kind)


def area(points: Sequence[Point | None], floor: float, kind: str) -> Markup:
    """What lies between a line and the floor; None: a gap."""
    pieces = []
    for run in _runs(points):
        around = [(run[0][0], floor), *run, (run[-1][0], floor)]
        pieces.append(_through(around) + "Z")
    return Markup('<path d="{}" class="{}"/>').format("".join(pieces), kind)


def nice(value: float) -> float:
    """The smallest round number that is not below a value, from 1 to 100."""
    return next((each for each in _NICE if each >= value), _NICE[-1])


def number(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def _through(points: Iterable[Point | None]) -> str:
    return "".join(
        "M" + "L".join(f"{number(x)} {number(y)}" for x, y in run) for run in _runs(points)
    )


def _runs(points: Iterable[Point | None]) -> list[list[Point]]:
    """The points between gaps."""
    runs: list[list[Point]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]
