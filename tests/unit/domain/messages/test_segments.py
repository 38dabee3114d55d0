"""Parts of a text, against the standard's limits and against an independent counter."""

from __future__ import annotations

import random

import pytest
import smsutil
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.messages.segments import _BASIC, _EXTENSION, Encoding, Segments, count

GSM7, UCS2 = Encoding.GSM7, Encoding.UCS2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Segments(GSM7, 0, 0)),
        ("a" * 160, Segments(GSM7, 160, 1)),
        ("a" * 161, Segments(GSM7, 161, 2)),
        ("a" * 306, Segments(GSM7, 306, 2)),
        ("a" * 307, Segments(GSM7, 307, 3)),
        ("€" * 80, Segments(GSM7, 160, 1)),
        ("€" * 81, Segments(GSM7, 162, 2)),
        ("a" * 152 + "[" + "a" * 152, Segments(GSM7, 306, 3)),
        ("ж" * 70, Segments(UCS2, 70, 1)),
        ("ж" * 71, Segments(UCS2, 71, 2)),
        ("ж" * 134, Segments(UCS2, 134, 2)),
        ("ж" * 135, Segments(UCS2, 135, 3)),
        ("😀" * 35, Segments(UCS2, 70, 1)),
        ("😀" * 36, Segments(UCS2, 72, 2)),
        ("😀" * 67, Segments(UCS2, 134, 3)),
        ("ŋ", Segments(UCS2, 1, 1)),
        ("ç", Segments(UCS2, 1, 1)),
        ("Ç", Segments(GSM7, 1, 1)),
        ("`", Segments(UCS2, 1, 1)),
        ("\t", Segments(UCS2, 1, 1)),
        ("\x1b", Segments(UCS2, 1, 1)),
        ("\f", Segments(GSM7, 2, 1)),
    ],
)
def test_a_text_takes_as_many_parts_as_the_standard_says(text: str, expected: Segments) -> None:
    assert count(text) == expected


def test_the_default_alphabet_has_its_127_characters_and_ten_extensions() -> None:
    assert (len(set(_BASIC)), len(set(_EXTENSION))) == (127, 10)


def by_smsutil(text: str) -> tuple[bool, int]:
    found = smsutil.split(text)
    return found.encoding == "gsm0338", len(found.parts)


def ours(text: str) -> tuple[bool, int]:
    found = count(text)
    return found.encoding is GSM7, found.parts


ALPHABETS = (
    "abc XYZ 019",
    _BASIC,
    _BASIC + _EXTENSION * 6,
    "abc[€",
    "abcж",
    "ab😀",
    "ж😀",
    "“”\u2013ç`\u00a0😀€[",
)


def test_random_texts_take_as_many_parts_as_smsutil_says() -> None:
    chance = random.Random(20260301)
    for _ in range(3000):
        alphabet = chance.choice(ALPHABETS)
        text = "".join(chance.choices(alphabet, k=chance.choice((1, 66, 71, 153, 161, 400))))
        assert ours(text) == by_smsutil(text), text


# smsutil counts one part for nothing, takes ESC itself for a character of the alphabet, and knows
# no lone surrogates (which no command carries).
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x1b") | st.sampled_from(
    _BASIC + _EXTENSION
)


@given(st.text(CHARACTERS, min_size=1, max_size=340))
def test_any_text_takes_as_many_parts_as_smsutil_says(text: str) -> None:
    assert ours(text) == by_smsutil(text)


@given(st.text(st.sampled_from("a["), min_size=120, max_size=400))
def test_texts_full_of_pairs_take_as_many_parts_as_smsutil_says(text: str) -> None:
    assert ours(text) == by_smsutil(text)
