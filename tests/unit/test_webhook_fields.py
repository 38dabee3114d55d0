"""Callbacks of every shape become one flat map, or are refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.web.fields import FORM, MAX_FIELDS, MalformedError, read

JSON = "application/json"


def test_form_of_africas_talking() -> None:
    body = b"id=ATXid_1&status=Success&phoneNumber=%2B260977123456&networkCode=64501"
    assert read(b"", f"{FORM}; charset=utf-8", body) == {
        "id": "ATXid_1",
        "status": "Success",
        "phoneNumber": "+260977123456",
        "networkCode": "64501",
    }


def test_query_of_kannel() -> None:
    assert read(b"id=m-1&epoch=2&type=1&smsc=ACK%2F", "", b"") == {
        "id": "m-1",
        "epoch": "2",
        "type": "1",
        "smsc": "ACK/",
    }


def test_nested_json_is_flattened() -> None:
    body = {"a": {"b": "x", "c": [1, True, {"d": None, "e": "y"}]}, "f": False}
    assert read(b"", "application/vnd.x+json", json.dumps(body).encode()) == {
        "a.b": "x",
        "a.c.0": "1",
        "a.c.1": "true",
        "a.c.2.e": "y",
        "f": "false",
    }


def test_json_numbers_keep_their_spelling() -> None:
    assert read(b"", JSON, b'{"cost": 0.80, "id": 123456789012345678901234567890}') == {
        "cost": "0.80",
        "id": "123456789012345678901234567890",
    }


def test_query_and_body_are_merged_and_the_query_wins() -> None:
    assert read(b"id=ours&epoch=1", FORM, b"id=theirs&status=ok") == {
        "id": "ours",
        "epoch": "1",
        "status": "ok",
    }


def test_first_value_of_a_field_counts() -> None:
    assert read(b"a=1&a=2", "", b"") == {"a": "1"}


def test_empty_values_are_kept() -> None:
    assert read(b"", FORM, b"failureReason=&status=ok") == {"failureReason": "", "status": "ok"}


@pytest.mark.parametrize(
    ("query", "media_type", "body"),
    [
        (b"", "", b""),
        (b"", FORM, b" "),
        (b"", JSON, b"{}"),
        (b"", JSON, b"[1]"),
        (b"", JSON, b'"x"'),
        (b"", JSON, b"{"),
        (b"", JSON, b'{"a": NaN}'),
        (b"", JSON, b'{"a": "\\ud800"}'),
        (b"", JSON, b'{"a": "\\u0000"}'),
        (b"", JSON, b'{"": 1}'),
        (b"", JSON, b'{"a\\n": 1}'),
        (b"", JSON, b"\xff"),
        (b"", JSON, b"[" * 16_000),
        (b"", JSON, b'{"a":[[[[1]]]]}'),
        (b"", FORM, b"a=%ff"),
        (b"", FORM, "a=ä".encode()),
        (b"", "", b"a=1"),
        (b"", "text/plain", b"a=1"),
        (b"", "multipart/form-data; boundary=x", b"--x--"),
        (b"", FORM, b"a" * 129 + b"=1"),
    ],
)
def test_unreadable_is_malformed(query: bytes, media_type: str, body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(query, media_type, body)


def test_number_of_fields_is_limited_over_query_and_body() -> None:
    query = "&".join(f"q{n}=1" for n in range(MAX_FIELDS // 2)).encode()
    assert len(read(query, FORM, query.replace(b"q", b"b"))) == MAX_FIELDS
    with pytest.raises(MalformedError, match="at most 64 fields"):
        read(query + b"&x=1", FORM, query.replace(b"q", b"b"))


def test_refusal_quotes_nothing() -> None:
    with pytest.raises(MalformedError) as refused:
        read(b"to=%2B260977123456", JSON, b'{"phoneNumber": "+260977123456"')
    assert "260977" not in str(refused.value)


@given(st.binary(max_size=200), st.sampled_from([FORM, JSON, ""]), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(query: bytes, media_type: str, body: bytes) -> None:
    try:
        fields = read(query, media_type, body)
    except MalformedError:
        return
    assert 0 < len(fields) <= MAX_FIELDS
    assert all(name and isinstance(value, str) for name, value in fields.items())
