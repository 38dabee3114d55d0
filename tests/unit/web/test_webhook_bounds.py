"""Bounds of what the webhook takes, and what cannot be read."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.reports import MAX_FIELDS, MAX_NAME
from tests.support.cost import ratio
from tests.unit.web.webhook_bodies import FORM, JSON, LATIN, one, reports
from worker.web.documents import MAX_DEPTH, MAX_REPORTS
from worker.web.fields import MAX_REPORT_BYTES, MAX_TOTAL_BYTES, read
from worker.web.malformed import MalformedError


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_nesting_is_read_up_to_its_bound() -> None:
    assert one(b"", JSON, nested(MAX_DEPTH)) == {".".join("a" * MAX_DEPTH): "1"}
    with pytest.raises(MalformedError, match=f"at most {MAX_DEPTH} levels"):
        read(b"", JSON, nested(MAX_DEPTH + 1))


def test_reports_are_read_up_to_their_bound() -> None:
    assert len(reports([{"id": n} for n in range(MAX_REPORTS)])) == MAX_REPORTS
    with pytest.raises(MalformedError, match=f"at most {MAX_REPORTS} reports"):
        reports([{"id": n} for n in range(MAX_REPORTS + 1)])


def test_what_reports_share_is_bounded_with_their_number() -> None:
    shared = "x" * (MAX_TOTAL_BYTES // 100)
    assert len(reports({"text": shared, "to": [{"n": n} for n in range(90)]})) == 90
    with pytest.raises(MalformedError, match=f"callback of at most {MAX_TOTAL_BYTES} bytes"):
        reports({"text": shared, "to": [{"n": n} for n in range(101)]})


def test_number_of_fields_is_limited_over_query_and_body() -> None:
    query = "&".join(f"q{n}=1" for n in range(MAX_FIELDS // 2)).encode()
    assert len(one(query, FORM, query.replace(b"q", b"b"))) == MAX_FIELDS
    with pytest.raises(MalformedError, match=f"at most {MAX_FIELDS} fields"):
        read(query + b"&x=1", FORM, query.replace(b"q", b"b"))


@pytest.mark.parametrize(
    ("query", "media_type", "body"),
    [
        (b"", "", b""),
        (b"", FORM, b" "),
        (b"", JSON, b"{}"),
        (b"", JSON, b"[]"),
        (b"", JSON, b"[null]"),
        (b"", JSON, b"[1]"),
        (b"", JSON, b'[{"id": 1}, 2]'),
        (b"", JSON, b'[[{"id": 1}]]'),
        (b"", JSON, b'"x"'),
        (b"", JSON, b'"id=1"'),
        (b"", JSON, b"true"),
        (b"", JSON, b"{"),
        (b"", FORM, b'{"id": "1", "status": "DELI'),
        (b"", JSON, b'{"id": 1}{"id": 2}'),
        (b"", JSON, b'{"": 1}'),
        (b"", JSON, b"\xff"),
        (b"", JSON, b"[" * 100_000),
        (b"", JSON, b'{"a":' * 20_000),
        (b"", "text/xml", b'<dlr id="1" status="2"/>'),
        (b"", FORM, b'<?xml version="1.0"?><a/>'),
        (b"", "text/plain", b"id:1 sub:001 stat:DELIVRD"),
        (b"", "text/plain", b"the status = unknown"),
        (b"", FORM, b"hello"),
        (b"", FORM, b"a" * (MAX_NAME + 1) + b"=1"),
        (b"", FORM, b"a=" + b"x" * MAX_REPORT_BYTES),
        (b"", FORM, b"&".join([b"a=1"] * (MAX_FIELDS + 1))),
        (b"epoch=1", "multipart/form-data; boundary=x", b"--x--"),
        (b"epoch=1", "multipart/form-data; boundary=x", b"--x\r\n\r\nnameless\r\n--x--"),
        (b"epoch=1", "multipart/form-data", b"--x\r\nname=a\r\n\r\n" * (MAX_FIELDS + 2)),
        (b"epoch=1", FORM, b"not a form"),
        (b"", JSON, json.dumps({f"n{n}": n for n in range(MAX_FIELDS + 1)}).encode()),
        (b"", JSON, json.dumps({"a": list(range(MAX_FIELDS + 1))}).encode()),
    ],
)
def test_unreadable_is_malformed(query: bytes, media_type: str, body: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^expected "):
        read(query, media_type, body)


_NAMES = [f"k{n:03}" for n in range(250)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":[' + b"{}," * 40_000 + b"{}]}",
        b'{"a":[' + b"1," * 60_000 + b"1]}",
        b'{"a":[' + b"null," * 20_000 + b"null]}",
        json.dumps(
            [{"x": [{"y": [{"i": 1}] * 9}] * 9, **{f"f{n}": 1 for n in range(200)}}]
        ).encode(),
        json.dumps({**dict.fromkeys(_NAMES, "v" * 400), "b": [{"i": 1}] * 500}).encode(),
        json.dumps({**dict.fromkeys(_NAMES, ""), "b": [{"i": 1}] * 500}).encode(),
        json.dumps(dict.fromkeys(_NAMES, [1] * 250)).encode(),
        json.dumps({f"a{n}": ["[1"] * 500 for n in range(30)}).encode(),
        b"x=" + b"z" * 100_000 + b"".join(b"&a=%d" % n for n in range(250)),
        b"x=1" + b"".join(b"&a" + b"[0]" * 150 + b"%d=1" % n for n in range(250)),
        b"a=1;" * 32_000,
        b"--\r\n" * 30_000,
        b"--x\r\n" + b"\r\n--y" * 25_000,
        b"&" * 128_000,
        b"a=" + b"%" * 128_000,
        b'{"a":"' + b"\\" * 120_000 + b'"}',
    ],
)
def test_a_hostile_body_takes_little_longer_than_a_harmless_one(body: bytes) -> None:
    harmless = json.dumps(dict.fromkeys(_NAMES, "v" * 500)).encode()
    assert ratio(partial(_tried, body), partial(_tried, harmless)) < 60


def _tried(body: bytes) -> None:
    with contextlib.suppress(MalformedError):
        read(b"", "", body)


def test_refusal_quotes_nothing() -> None:
    with pytest.raises(MalformedError) as refused:
        read(b"to=%2B260977123456", JSON, b'{"phoneNumber": "+260977123456"')
    assert "260977" not in str(refused.value)


_BEGINNINGS = st.sampled_from(
    [b"", b"{", b"[", b"--x\r\n", b'--x\r\nname="a"\r\n\r\n', b"a=", b"[{"]
)
_TYPES = st.sampled_from([FORM, LATIN, JSON, "", f"{JSON}; charset=utf-16"])


@given(st.binary(max_size=200), _TYPES, _BEGINNINGS, st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    query: bytes, media_type: str, begins: bytes, body: bytes
) -> None:
    try:
        found = read(query, media_type, begins + body)
    except MalformedError:
        return
    for fields in found:
        assert 0 < len(fields) <= MAX_FIELDS
        assert all(fields)
        "".join([*fields, *fields.values()]).encode()


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=30,
)


@given(
    st.dictionaries(st.text(max_size=3), _DOCUMENTS, max_size=4) | st.lists(_DOCUMENTS, max_size=4)
)
def test_any_document_is_read_or_refused(document: Any) -> None:
    try:
        found = reports(document)
    except MalformedError:
        return
    assert all(found)
