"""What another version stored is read as far as this version knows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pytest

from worker.domain.stored import by_word, frozen, read_known, word, words


@dataclass(frozen=True, slots=True)
class Value:
    needed: int
    steps: tuple[tuple[int, ...], ...] = ((1,),)


class Word(StrEnum):
    ONE = "one"
    TWO = "two"


def test_unknown_fields_are_dropped_and_absent_ones_have_their_default() -> None:
    assert read_known(Value, {"needed": 3, "addedLater": 5}) == Value(3)


def test_lists_become_tuples_at_every_depth() -> None:
    assert read_known(Value, {"needed": 3, "steps": [[1, 2], []]}) == Value(3, ((1, 2), ()))
    assert frozen([1, [2, [3]], "ab"]) == (1, (2, (3,)), "ab")


def test_what_was_read_already_stands_in_place_of_what_is_stored() -> None:
    assert read_known(Value, {"needed": "three"}, needed=3) == Value(3)


def test_without_a_field_that_has_no_default_there_is_no_value() -> None:
    with pytest.raises(TypeError, match="needed"):
        read_known(Value, {})


@pytest.mark.parametrize("stored", ["three", "ONE", "", None, 1, ["one"], {"one": 1}])
def test_what_is_no_word_of_this_version_becomes_the_default(stored: object) -> None:
    assert word(Word, stored, None) is None
    assert word(Word, stored, Word.TWO) is Word.TWO


def test_a_known_word_is_itself() -> None:
    assert word(Word, "one", Word.TWO) is Word.ONE


def test_words_this_version_does_not_know_are_left_out() -> None:
    assert words(Word, ["three", "two", None, "one"]) == (Word.TWO, Word.ONE)
    assert by_word(Word, {"three": 3, "one": 1}) == {Word.ONE: 1}
