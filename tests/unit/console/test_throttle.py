"""How often a log-in may fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.console import throttle
from worker.console.throttle import LONG_PAUSE_S, MOST, PAUSE_S, WINDOW_S, Throttle, Try

if TYPE_CHECKING:
    import pytest

HERE, THERE = "192.0.2.1", "192.0.2.2"


def failed(found: Throttle, times: int, *, name: str = "amina", source: str = HERE) -> None:
    for _ in range(times):
        assert isinstance(found.begin(name, source, 0.0), Try)


def test_five_failures_of_a_name_within_a_minute_are_let_through() -> None:
    failed(Throttle(), 5)


def test_the_sixth_failure_of_a_name_from_one_address_waits() -> None:
    found = Throttle()
    failed(found, 5)
    assert found.begin("amina", HERE, 1.0) == LONG_PAUSE_S - 1.0


def test_a_refused_try_does_not_lengthen_the_wait() -> None:
    found = Throttle()
    failed(found, 5)
    found.begin("amina", HERE, 1.0)
    assert found.begin("amina", HERE, 2.0) == LONG_PAUSE_S - 2.0
    assert isinstance(found.begin("amina", HERE, LONG_PAUSE_S), Try)


def test_failures_older_than_a_minute_are_forgotten() -> None:
    found = Throttle()
    failed(found, 5)
    assert isinstance(found.begin("amina", HERE, WINDOW_S), Try)
    assert isinstance(found.begin("amina", HERE, WINDOW_S), Try)


def test_a_name_that_fails_elsewhere_may_be_tried_here_every_ten_seconds() -> None:
    found = Throttle()
    failed(found, 5, source=THERE)
    assert isinstance(found.begin("amina", HERE, 1.0), Try)
    assert found.begin("amina", HERE, 2.0) == PAUSE_S - 1.0
    assert isinstance(found.begin("amina", HERE, 1.0 + PAUSE_S), Try)


def test_an_address_with_twenty_failures_of_many_names_waits() -> None:
    found = Throttle()
    for number in range(20):
        failed(found, 1, name=f"guess-{number}")
    assert isinstance(found.begin("amina", HERE, 0.0), Try)
    assert found.begin("amina", HERE, 1.0) == PAUSE_S - 1.0
    assert isinstance(found.begin("amina", THERE, 1.0), Try)


def test_a_forgiven_try_counts_nowhere() -> None:
    found = Throttle()
    for _ in range(30):
        tried = found.begin("amina", HERE, 0.0)
        assert isinstance(tried, Try)
        found.forgive(tried)
    assert (len(found._names._at), len(found._addresses._at), len(found._pairs._at)) == (0, 0, 0)


def test_tries_under_way_are_counted_as_failed() -> None:
    found = Throttle()
    tries = [found.begin("amina", HERE, 0.0) for _ in range(6)]
    assert [isinstance(each, Try) for each in tries] == [True] * 5 + [False]


def test_the_memory_is_bounded_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST", 3)
    found = Throttle()
    failed(found, 5)
    for number in range(3):
        failed(found, 1, name=f"guess-{number}", source=THERE)
    assert MOST == 10_000
    assert len(found._names._at) == 3
    assert isinstance(found.begin("amina", HERE, 0.0), Try)
