"""What comes from `sms.reports` is a report within its bounds, or refused by the field's name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.codec import DecodeError
from contracts.reports import MAX_FIELDS, MAX_NAME, MAX_VALUE, decode_report


def body(**changes: Any) -> bytes:
    report = {"provider": "at", "kind": "delivery", "receivedAt": "2026-03-01T12:00:00Z"}
    return json.dumps(report | {"fields": {"id": "1"}} | changes).encode()


def test_a_report_is_read_up_to_its_bounds() -> None:
    fields = {f"{number:0{MAX_NAME}}": "" for number in range(MAX_FIELDS)}
    assert decode_report(body(fields=fields)).fields == fields
    assert decode_report(body(fields={"a": "x" * MAX_VALUE})).fields["a"] == "x" * MAX_VALUE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fields", {"id": "\ud800"}),
        ("fields", {"\ud800": "1"}),
        ("fields", {"": "1"}),
        ("fields", {"x" * (MAX_NAME + 1): "1"}),
        ("fields", {"id": "x" * (MAX_VALUE + 1)}),
        ("fields", {str(number): "" for number in range(MAX_FIELDS + 1)}),
        ("fields", {"id": 2**70}),
        ("fields", {"id": {"a": "b"}}),
        ("fields", [["id", "1"]]),
        ("fields", None),
        ("provider", "\ud800"),
        ("provider", "x" * 129),
        ("kind", "other"),
        ("receivedAt", "0001-01-01T00:00:00+23:59"),
        ("receivedAt", 10**30),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_report(body(**{field: value}))
    assert refused.value.problems == (f"{field}: missing or of the wrong form",)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff", b"[]", b"[" * 60_000, b'{"a":' * 10_000, body(fields={"id": float("nan")})],
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_report(raw)
