"""The charts drawn last: a series is the same for many moments, and drawing it takes long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.console.pages.trend import trend

if TYPE_CHECKING:
    from contracts.answers import SeriesAnswer
    from worker.console.pages.trend import Trend

MOST: Final = 8
"""Series that are kept: one for each login that watches, of late."""


class Drawn:
    """Draws each series once, as long as it is among the last `MOST`."""

    def __init__(self) -> None:
        self._trends: list[tuple[SeriesAnswer, Trend]] = []

    def __call__(self, series: SeriesAnswer) -> Trend:
        """The charts of a series."""
        for known, drawn in self._trends:
            if known is series:
                return drawn
        drawn = trend(series)
        self._trends = [*self._trends[1 - MOST :], (series, drawn)]
        return drawn
