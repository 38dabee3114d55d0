"""Small charts beside figures: the intervals of both providers, and a detector and its alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console.charts import svg

if TYPE_CHECKING:
    from markupsafe import Markup

_WIDTH, _HEIGHT = 180, 22
_ROWS: Final = {"target": 7.0, "legacy": 15.0}
_MARK: Final = 3.0
_LEAST: Final = 1.0
"""Percentage points that the axis shows at least."""
_METER: Final = (120, 10)
_ALARM_AT: Final = 0.83
"""Where the alarm is on a meter, as a part of its length: what is above is seen as above."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate in per cent, with its interval."""

    low: float
    value: float
    high: float


def whiskers(
    ident: str, names: tuple[str, str], target: Interval | None, legacy: Interval | None
) -> Markup | None:
    """Both intervals on one axis that holds both; None: there is none to draw.

    Args:
        ident: unique in the page.
        names: display names of target and legacy.
        target: of the target; None: not known.
        legacy: of legacy; None: not known.
    """
    given = {"target": target, "legacy": legacy}
    known = {role: each for role, each in given.items() if each is not None}
    if not known:
        return None
    axis = _Axis.holding(*known.values())
    said = [
        f"{name} {each.value:.1f} %, 95 % interval {each.low:.1f} to {each.high:.1f}"
        for name, each in zip(names, (target, legacy), strict=True)
        if each is not None
    ]
    drawn = [_whisker(axis, each, role) for role, each in known.items()]
    middle = _HEIGHT / 2
    line = svg.line((0, middle), (_WIDTH, middle), "axis")
    return svg.picture(ident, (_WIDTH, _HEIGHT), f"{'; '.join(said)}.", line, *drawn)


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float

    @classmethod
    def holding(cls, *intervals: Interval) -> _Axis:
        low = min(each.low for each in intervals)
        high = max(each.high for each in intervals)
        missing = max(_LEAST - (high - low), 0.0) / 2
        return cls(low - missing, high + missing)

    def at(self, percent: float) -> float:
        inner = _WIDTH - 2 * _MARK
        return _MARK + inner * (percent - self.low) / (self.high - self.low)


def _whisker(axis: _Axis, interval: Interval, role: str) -> Markup:
    y, x = _ROWS[role], axis.at(interval.value)
    line = svg.line((axis.at(interval.low), y), (axis.at(interval.high), y), f"{role} line")
    mark = svg.box((x - _MARK / 2, y - _MARK), (_MARK, 2 * _MARK), f"{role} mark")
    return line + mark


def meter(ident: str, name: str, value: float, alarm: float) -> Markup:
    """A detector: how far it is from its alarm; the half mark is where nothing goes up any more."""
    width, height = _METER
    scale = width * _ALARM_AT / alarm
    reached = min(max(value, 0.0) * scale, width)
    level = "bad" if value >= alarm else "warn" if value > alarm / 2 else "ok"
    state = ", alarm" if value >= alarm else ""
    sentence = f"{name}: {value:.1f}, alarm at {alarm:.1f}{state}."
    return svg.picture(
        ident,
        _METER,
        sentence,
        svg.box((0, 0), (width, height), "trough"),
        svg.box((0, 0), (reached, height), f"level {level}"),
        svg.line((alarm / 2 * scale, 0), (alarm / 2 * scale, height), "half"),
        svg.box((alarm * scale - 1.5, 0), (3, height), "alarm"),
    )
