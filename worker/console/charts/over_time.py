"""The two charts over time: the share (sent and set), and what failed at both providers.

Rules: a chart of messages would hide a share of 1 %, so the share itself is drawn. Labels of
changes never overlap each other: one without room has its line alone, and its words stand in the
table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from worker.console import formats
from worker.console.charts import svg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from worker.console.charts.svg import Point

_SIZE: Final = (312, 158)
_LEFT, _RIGHT, _BOTTOM = 26.0, 308.0, 142.0
_TOP: Final = {"labels": 32.0, "plain": 8.0}
_LABEL_ROWS: Final = (10.0, 22.0)
_LETTER: Final = 5.1
"""Width of a letter of a label, at most."""
_GAP: Final = 3.0
_TICKS_H: Final = (1, 2, 3, 6, 12, 24, 48)
_MOST_TICKS: Final = 5


@dataclass(frozen=True, slots=True)
class Label:
    """Words at a moment."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A value at a moment; None: not known."""

    at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Plot:
    """The area that is drawn in."""

    since: datetime
    until: datetime
    top: float
    most: float
    """Value at the top."""

    def x(self, at: datetime) -> float:
        """Where a moment is."""
        part = (at - self.since) / (self.until - self.since)
        return _LEFT + (_RIGHT - _LEFT) * min(max(part, 0.0), 1.0)

    def y(self, value: float) -> float:
        """Where a value is."""
        return _BOTTOM - (_BOTTOM - self.top) * min(value / self.most, 1.0)

    def points(self, samples: Sequence[Sample]) -> list[Point | None]:
        """Where samples are."""
        return [
            None if each.value is None else (self.x(each.at), self.y(each.value))
            for each in samples
        ]

    def steps(self, samples: Sequence[Sample]) -> list[Point | None]:
        """A line that keeps each value until the next."""
        found: list[Point | None] = []
        for each in samples:
            x, y = self.x(each.at), self.y(each.value or 0.0)
            if found and found[-1] is not None:
                found.append((x, found[-1][1]))
            found.append((x, y))
        if found and found[-1] is not None:
            found.append((_RIGHT, found[-1][1]))
        return found


@dataclass(frozen=True, slots=True)
class Subject:
    """What a chart is about."""

    ident: str
    """Unique in the page."""
    sentence: str
    """What it shows."""
    since: datetime
    until: datetime

    def plot(self, top: str, most: float) -> Plot:
        """The area for values up to `most`."""
        return Plot(self.since, self.until, _TOP[top], svg.nice(most))


def share(
    subject: Subject, sent: Sequence[Sample], configured: Sequence[Sample], labels: Sequence[Label]
) -> Markup:
    """The target's share over time.

    Args:
        subject: name and period.
        sent: what was assigned to the target, per cent.
        configured: what was set, from each moment on.
        labels: of the changes.
    """
    values = [each.value or 0.0 for each in (*sent, *configured)]
    plot = subject.plot("labels", max(values, default=0.0) * 1.1)
    points = plot.points(sent)
    return svg.picture(
        subject.ident, _SIZE, subject.sentence, *_axes(plot),
        svg.area(points, _BOTTOM, "target area"),
        *_labels(plot, labels),
        svg.path(plot.steps(configured), "set"),
        svg.path(points, "target line"),
    )  # fmt: skip


def failures(subject: Subject, target: Sequence[Sample], legacy: Sequence[Sample]) -> Markup:
    """What failed at both providers over time, per cent."""
    plot = subject.plot("plain", max((each.value or 0.0 for each in (*target, *legacy)), default=0))
    lines = ((legacy, "legacy dashed line"), (target, "target line"))
    drawn = [svg.path(plot.points(samples), kind) for samples, kind in lines]
    return svg.picture(subject.ident, _SIZE, subject.sentence, *_axes(plot), *drawn)


def _axes(plot: Plot) -> Iterator[Markup]:
    for part in (0.0, 0.5, 1.0):
        y = plot.y(plot.most * part)
        yield svg.line((_LEFT, y), (_RIGHT, y), "grid")
        yield svg.text((_LEFT - 5, y + 3.5), formats.plain(plot.most * part), "tick", "end")
    for at in _ticks(plot):
        x = plot.x(at)
        yield svg.line((x, plot.top), (x, _BOTTOM), "grid")
        yield Markup(
            '<text x="{}" y="{}" class="tick" text-anchor="middle" data-time="{}">{}</text>'
        ).format(svg.number(x), svg.number(_BOTTOM + 12), formats.utc(at), f"{at:%H:%M}")


def _ticks(plot: Plot) -> Iterator[datetime]:
    """Round hours, at most five."""
    hours = (plot.until - plot.since).total_seconds() / 3_600
    every = next((each for each in _TICKS_H if hours / each <= _MOST_TICKS), _TICKS_H[-1])
    step = timedelta(hours=every)
    midnight = plot.since.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + step * (-(-(plot.since - midnight) // step))
    while at <= plot.until:
        if _LEFT + 12 <= plot.x(at) <= _RIGHT - 12:
            yield at
        at += step


def _labels(plot: Plot, labels: Sequence[Label]) -> Iterator[Markup]:
    """The newest label first: it has the best place."""
    lines = [plot.x(each.at) for each in labels]
    taken: list[_Place] = []
    for x, label in reversed(list(zip(lines, labels, strict=True))):
        yield svg.line((x, plot.top - 20), (x, _BOTTOM), "change")
        width = len(label.text) * _LETTER
        free = [each for each in _places(x, width) if not any(map(each.meets, taken))]
        if free:
            best = min(free, key=lambda each: sum(each.covers(line) for line in lines))
            taken.append(best)
            at = (best.end if best.is_left else best.begin, _LABEL_ROWS[best.row])
            yield svg.text(at, label.text, "label", "end" if best.is_left else "start")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a label may stand."""

    row: int
    begin: float
    end: float
    is_left: bool

    def meets(self, other: _Place) -> bool:
        apart = self.end + _GAP < other.begin or other.end + _GAP < self.begin
        return self.row == other.row and not apart

    def covers(self, x: float) -> bool:
        return self.begin - 1 < x < self.end + 1


def _places(x: float, width: float) -> Iterator[_Place]:
    """The places beside a line, within the picture, the best first."""
    for row in range(len(_LABEL_ROWS)):
        if x + _GAP + width <= _SIZE[0]:
            yield _Place(row, x + _GAP, x + _GAP + width, is_left=False)
    for row in range(len(_LABEL_ROWS)):
        if x - _GAP - width >= 0:
            yield _Place(row, x - _GAP - width, x - _GAP, is_left=True)
