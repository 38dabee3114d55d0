"""What a move moves, in words."""

from __future__ import annotations

import pytest

from worker.domain.migration.effect import Names, about, movement
from worker.domain.migration.provider_names import display_name

NAMES = Names("Africa's Talking", "Legacy")


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0.4, "less than one"),
        (1.0, "about 1"),
        (9.6, "about 10"),
        (12.4, "about 12"),
        (99.6, "about 100"),
        (182.0, "about 180"),
        (4_549.0, "about 4,500"),
        (123_456.0, "about 120,000"),
    ],
)
def test_a_count_has_two_digits_that_mean_something(count: float, words: str) -> None:
    assert about(count) == words


@pytest.mark.parametrize(
    ("before", "after", "per_hour", "words"),
    [
        (25, 50, 18_000.0, "about 4,500 messages an hour move to Africa's Talking"),
        (50, 25, 18_000.0, "about 4,500 messages an hour move to Legacy"),
        (0, 1, 100.0, "about 1 message an hour moves to Africa's Talking"),
        (0, 1, 20.0, "less than one message an hour moves to Africa's Talking"),
        (0, 100, 1.6, "about 2 messages an hour move to Africa's Talking"),
        (10, 0, None, "no message came lately; what comes moves to Legacy"),
        (25, 25, 18_000.0, "no message moves"),
    ],
)
def test_a_move_is_told_by_its_messages_and_where_they_go(
    before: int, after: int, per_hour: float | None, words: str
) -> None:
    assert movement(per_hour, before, after, NAMES) == words


@pytest.mark.parametrize(
    ("provider", "name"),
    [("africastalking", "Africa's Talking"), ("legacy", "Legacy"), ("twilio", "twilio")],
)
def test_a_provider_is_called_as_people_call_it(provider: str, name: str) -> None:
    assert display_name(provider) == name
