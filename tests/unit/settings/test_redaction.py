"""Hiding credentials: whole in every form, and every longer part in the text of others."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.settings.redaction import MARK, RUN, Redactor, basic

SECRET = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40)


@pytest.mark.parametrize(
    "form",
    [str, repr, json.dumps, quote, quote_plus, lambda text: quote(text, safe="")],
)
def test_every_form_is_hidden(form: object) -> None:
    secret = "ge/h#im 'ü\"\\\n0f0f"
    assert callable(form)
    written = form(secret)
    assert "0f0f" not in Redactor([secret]).whole(f"got {written}, expected another")


@given(SECRET, st.integers(0, 34), st.integers(RUN, 40))
def test_no_longer_part_is_left(secret: str, start: int, length: int) -> None:
    part = secret[start : start + length]
    left = Redactor([secret]).parts(f"<< {part} >>")
    assert len(part) < RUN or part not in left


def test_a_part_is_replaced_as_a_whole_and_the_rest_stays() -> None:
    hidden = Redactor(["geheimnis#x"])
    said = "invalid literal for int() with base 10: 'geheimnis'"
    assert hidden.parts(said) == f"invalid literal for int() with base 10: '{MARK}'"


def test_a_text_without_a_credential_stays() -> None:
    assert Redactor(["geheimnis"]).parts("no route to host") == "no route to host"
    assert Redactor().parts("anything") == "anything"


def test_a_login_in_a_header_is_known() -> None:
    assert Redactor([basic("u", "p")]).whole("Basic dTpw") == f"Basic {MARK}"
