"""Numbers and durations as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from worker.console import formats


def test_what_is_not_known_is_never_zero() -> None:
    unknown = (formats.count(None), formats.percent(None), formats.milliseconds(None))
    assert set(unknown) == {"–"}


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (0.4, "under 1"), (7, "7"), (182, "180"), (4_505, "4,500"), (18_012, "18,000")],
)
def test_about_keeps_two_digits(number: float, said: str) -> None:
    assert formats.about(number) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (119, "119 s"),
        (600, "10 min"),
        (3_599, "60 min"),
        (11_520, "3 h 12 min"),
        (7_200, "2 h"),
        (82_800, "23 h"),
        (259_200, "3 days"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, said: str) -> None:
    assert formats.duration(seconds) == said


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("0.0062", "USD 0.0062"),
        ("0.01131", "USD 0.0113"),
        ("0.00004", "USD 0.000040"),
        ("1.2", "USD 1.20"),
        ("544.8", "USD 545"),
        ("0", "USD 0.00"),
    ],
)
def test_money_has_the_digits_that_its_size_needs(amount: str, said: str) -> None:
    assert formats.money(Decimal(amount), "USD") == said


def test_a_time_is_given_in_utc() -> None:
    lusaka = timezone(timedelta(hours=2))
    moment = datetime(2026, 3, 4, 9, 31, 52, tzinfo=lusaka)
    assert formats.utc(moment) == "2026-03-04T07:31:52Z"
    assert formats.clock(moment) == "07:31 UTC"
    assert formats.clock(moment, seconds=True) == "07:31:52 UTC"


def test_an_age_below_some_seconds_is_now() -> None:
    assert formats.age(2.0) == "just now"
    assert formats.age(4.2) == "4 s ago"
