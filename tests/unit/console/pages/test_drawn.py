"""Charts are drawn once for each series."""

from __future__ import annotations

from tests.support import console_figures as figures
from tests.support.console_states import AT
from worker.console.pages.drawn import MOST, Drawn


def test_a_series_is_drawn_once() -> None:
    drawn, series = Drawn(), figures.series(AT)
    assert drawn(series) is drawn(series)


def test_each_of_several_series_has_its_own_charts() -> None:
    drawn, one, other = Drawn(), figures.series(AT), figures.series(AT, ())
    assert drawn(one).share != drawn(other).share
    assert drawn(one) is drawn(one)


def test_only_the_last_ones_are_kept() -> None:
    drawn, first = Drawn(), figures.series(AT, ())
    before = drawn(first)
    for _ in range(MOST):
        drawn(figures.series(AT, ()))
    assert drawn(first) is not before
