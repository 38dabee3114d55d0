"""What a refused command or query is told: the field, and nothing of what came in it."""

from __future__ import annotations

import json

import pytest

from contracts.codec import DecodeError
from contracts.control_decoding import decode_command, decode_query

NUMBER = "+260977123456"


def refusal(body: dict[str, object], name: str = "hold") -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode_command(json.dumps(body).encode(), name)
    return caught.value


def test_another_name_than_the_routing_key_says_is_shown_if_it_may_be_a_name() -> None:
    assert refusal({"name": "resume"}).problems == (
        'name: expected "hold" as in the routing key, got "resume"',
    )


@pytest.mark.parametrize("name", [NUMBER, f"to {NUMBER}", "x" * 60_000, 7, ["hold"]])
def test_what_is_no_name_is_not_shown(name: object) -> None:
    (problem,) = refusal({"name": name}).problems
    assert problem.startswith('name: expected "hold" as in the routing key, got ')
    assert NUMBER not in problem
    assert len(problem) < 100


@pytest.mark.parametrize("key", ["nonsense", NUMBER, "\u202e", "y" * 200])
def test_a_routing_key_that_names_nothing_is_refused_without_being_shown(key: str) -> None:
    assert refusal({}, key).problems == ("name: expected a known name, got another one",)
    with pytest.raises(DecodeError, match="got another one"):
        decode_query(b"{}", key)
