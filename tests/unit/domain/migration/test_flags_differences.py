"""The difference of two flags documents, as people read it before a change."""

from __future__ import annotations

from typing import Any

import pytest

from worker.domain.migration.flags import Flags
from worker.domain.migration.flags_differences import at_most, differences
from worker.domain.migration.flags_document import document


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a: 1 -> 2"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ["a.c: 2 -> 3"]),
        ({"a": 1}, {}, ["a: 1 -> (default)"]),
        ({}, {"a": None}, ["a: (absent) -> null"]),
        ({"a": {"b": 1}}, {}, ["a: {...} -> (default)"]),
        ({"a": 1.0}, {"a": 1}, []),
        ({"a": True}, {"a": 1}, ["a: true -> 1"]),
        ({"a": {}}, {"a": []}, ["a: {} -> []"]),
    ],
)
def test_a_difference_is_named_by_its_path(before: Any, after: Any, lines: list[str]) -> None:
    assert differences(before, after) == lines


def test_the_initial_percentage_is_no_difference() -> None:
    assert differences(document(Flags(), 0), document(Flags(), 25)) == []


def test_a_value_that_changes_is_named_with_its_section() -> None:
    lines = differences(document(Flags(), 0), document(Flags(target_enabled=False), 0))
    assert lines == ["SmsFeatureFlags.EnableAfricasTalking: true -> false"]


@pytest.mark.parametrize(("most", "shown"), [(3, ["a", "b", "c"]), (2, ["a", "b", "and 1 more"])])
def test_of_many_lines_the_first_are_shown_and_the_rest_is_counted(
    most: int, shown: list[str]
) -> None:
    assert at_most(["a", "b", "c"], most) == shown
