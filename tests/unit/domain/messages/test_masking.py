"""Numbers as they may leave the process."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.messages.masking import fingerprint, mask, recipient

KEY = b"key"
DIGITS = st.text("0123456789", min_size=0, max_size=15)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+260977123456", "+260******456"),
        ("+123456789", "+123***789"),
        ("+12345678", "*********"),
        ("abc", "***"),
        ("", ""),
        ("00260 977 123-456", "0026**********456"),
        ("Your code is 4711", "*****************"),
        ("0977\u2028123456", "***********"),
        ("0977123456\n", "***********"),
        ("9" * 400, "*" * 32),
    ],
)
def test_a_mask_shows_country_and_tail_of_a_number_only(number: str, shown: str) -> None:
    assert mask(number) == shown


@given(DIGITS.map("+".__add__))
def test_a_mask_hides_three_digits_at_least(number: str) -> None:
    assert mask(number).count("*") >= min(3, len(number))
    assert len(mask(number)) == len(number)


def test_a_hash_is_keyed() -> None:
    expected = hmac.new(KEY, b"to\x1f+260977123456", hashlib.sha256).hexdigest()
    assert recipient(KEY, "+260977123456").hash == expected
    assert recipient(b"other", "+260977123456").hash != expected


def test_a_fingerprint_and_a_hash_of_one_number_differ() -> None:
    assert fingerprint(KEY, "+260977123456", "", None) != recipient(KEY, "+260977123456").hash


@pytest.mark.parametrize(
    "other",
    [
        ("+260977123457", "text", "ME"),
        ("+260977123456", "text!", "ME"),
        ("+260977123456", "text", "YOU"),
        ("+260977123456", "text", None),
    ],
)
def test_a_fingerprint_tells_recipient_text_and_sender_apart(
    other: tuple[str, str, str | None],
) -> None:
    assert fingerprint(KEY, *other) != fingerprint(KEY, "+260977123456", "text", "ME")


def test_no_sender_and_an_empty_one_are_the_same() -> None:
    assert fingerprint(KEY, "+1", "t", None) == fingerprint(KEY, "+1", "t", "")
