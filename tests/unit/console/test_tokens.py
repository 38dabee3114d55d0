"""Tokens belong to one browser, and look different each time."""

from __future__ import annotations

import base64

import pytest

from worker.console.tokens import Tokens, new_id


def test_a_token_proves_the_cookie_it_was_made_for() -> None:
    tokens = Tokens()
    assert tokens.proves(tokens.of("a cookie"), "a cookie")
    assert not tokens.proves(tokens.of("a cookie"), "another cookie")


def test_a_token_of_another_process_proves_nothing() -> None:
    assert not Tokens().proves(Tokens().of("a cookie"), "a cookie")


def test_each_token_looks_different() -> None:
    tokens = Tokens()
    assert len({tokens.of("a cookie") for _ in range(50)}) == 50


@pytest.mark.parametrize(
    "token",
    ["", "x", "=", "ü", "\ud800", "A" * 1000, base64.urlsafe_b64encode(b"x" * 63).decode()],
)
def test_what_is_no_token_proves_nothing(token: str) -> None:
    assert not Tokens().proves(token, "a cookie")


def test_an_id_has_256_bits() -> None:
    assert len(base64.urlsafe_b64decode(new_id() + "=")) * 8 == 256
    assert new_id() != new_id()
