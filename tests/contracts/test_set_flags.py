"""`set-flags` and every other command: fields once each, documents that every store can hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.codec import DecodeError, encode
from contracts.control import COMMANDS
from contracts.control_decoding import decode_command, decode_query
from contracts.documents import MAX_PROBLEMS, unfit

COMMON = {"commandId": "c-1", "issuedAt": "2026-03-01T08:30:00Z", "reason": "because"}


def with_flags(document: str) -> bytes:
    body = json.dumps(COMMON | {"name": "set-flags"})
    return f'{body[:-1]}, "flags": {document}}}'.encode()


def test_a_document_is_read_and_written_as_it_came() -> None:
    document = {"SmsFeatureFlags": {"UserOverrides": {"ann": "legacy"}}, "Phases": {}}
    read = decode_command(with_flags(json.dumps(document)), "set-flags")
    assert json.loads(encode(read))["flags"] == document


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('{"Phases": {}, "Phases": {}}', "Phases: given more than once"),
        ('{"a": {"b": [{"c": 1, "c": 2}]}}', "c: given more than once"),
        ('{"a": 9223372036854775808}', "a: expected a number of at most 64 bit"),
        ('{"a": ' + "9" * 5_000 + "}", "body: expected JSON"),
        ('{"a": 1e999}', "a: expected a number, got NaN or Infinity"),
        ('{"a": "\\ud83d"}', "a: expected text, got half a surrogate pair"),
        ('{"a": ' + "[" * 17 + "]" * 17 + "}", "a: expected at most 16 levels"),
        ('{"a": ' + "[" * 900 + "]" * 900 + "}", "levels of nesting"),
        ('{"a": ' + "[" * 20_000 + "]" * 20_000 + "}", "levels of nesting"),
        ('{"a": NaN}', "body: expected JSON"),
    ],
)
def test_what_cannot_be_held_everywhere_is_told(document: str, told: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_command(with_flags(document), "set-flags")
    assert any(told in problem for problem in caught.value.problems), caught.value.problems
    for problem in caught.value.problems:
        problem.encode()


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_a_command_with_a_field_twice_is_refused_and_can_be_answered(kind: type[Any]) -> None:
    name = kind.model_fields["name"].default
    body = json.dumps(COMMON | {"name": name})
    with pytest.raises(DecodeError) as caught:
        decode_command(f'{body[:-1]}, "reason": "another"}}'.encode(), name)
    assert caught.value.problems == ("reason: given more than once",)
    assert caught.value.message_id == "c-1"


def test_a_query_with_a_field_twice_is_refused() -> None:
    with pytest.raises(DecodeError):
        decode_query(b'{"name": "health", "commandId": "c", "hours": 1, "hours": 2}', "health")


def test_a_key_given_twice_very_often_is_found_in_no_time() -> None:
    many = ",".join(f'"{n}": 1' for n in range(3_000))
    with pytest.raises(DecodeError):
        decode_command(with_flags(f"{{{many}, {many}}}"), "set-flags")


def test_of_very_many_values_that_are_unfit_some_are_told() -> None:
    assert len(unfit({str(n): 2**70 for n in range(1_000)})) == MAX_PROBLEMS
