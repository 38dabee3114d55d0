"""Events and their ids, as other languages see them."""

from __future__ import annotations

import hashlib
import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.codec import NAMESPACE, DecodeError, encode, event_id
from contracts.events import EVENTS, Cost, SmsRejected, SmsSent, decode_event
from contracts.reports import decode_report
from tests.contracts.wire_samples import ATTEMPT, LEAST, SAMPLES

EVENT_SAMPLES = {name: made for name, made in SAMPLES.items() if made[0] in EVENTS}
SENT = LEAST | ATTEMPT | {"segments": 1, "reason": "percentage", "durationMs": 1.0}


def test_the_id_of_an_event_never_changes() -> None:
    assert str(NAMESPACE) == ("6f1f6a0e-5d0b-5b8e-9c55-0f6c2e7a4d31")
    assert event_id("m-1", "sms.sent", 1) == uuid.UUID("115381cd-e364-55e1-a695-260c74dd03e0")


def test_the_id_of_an_event_can_be_computed_by_hand() -> None:
    digest = hashlib.sha1(  # noqa: S324 - what UUIDv5 is defined by
        bytes.fromhex("6f1f6a0e5d0b5b8e9c550f6c2e7a4d31") + b"m-1\nsms.sent\n1"
    ).digest()
    assert event_id("m-1", "sms.sent", 1) == uuid.UUID(bytes=digest[:16], version=5)


Fact = tuple[str, str, int]
IDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=128)
FACTS = st.tuples(IDS, st.sampled_from(["sms.sent", "sms.failed"]), st.integers(1, 999))


@given(one=FACTS, other=FACTS)
def test_two_events_share_an_id_only_when_they_are_the_same_fact(one: Fact, other: Fact) -> None:
    assert (event_id(*one) == event_id(*other)) == (one == other)


@pytest.mark.parametrize("name", EVENT_SAMPLES)
def test_an_event_survives_the_wire(name: str) -> None:
    model, fields = EVENT_SAMPLES[name]
    event = model.model_validate(fields)
    assert decode_event(encode(event)) == event


def test_there_is_no_null_on_the_wire() -> None:
    assert None not in json.loads(encode(SmsSent.model_validate(SENT))).values()


def test_the_cost_keeps_its_digits() -> None:
    sent = SmsSent.model_validate(SENT | {"cost": {"amount": "0.8000", "currency": "KES"}})
    assert json.loads(encode(sent))["cost"] == {"amount": "0.8000", "currency": "KES"}


@pytest.mark.parametrize(
    ("amount", "written"),
    [(Decimal("1E+2"), "100"), (Decimal("0E-7"), "0.0000000"), ("1E+2", "100")],
)
def test_the_cost_is_written_without_an_exponent(amount: Any, written: str) -> None:
    assert json.loads(encode(Cost(amount=amount, currency="ZMW")))["amount"] == written


@pytest.mark.parametrize("amount", [0.8, 1, "free", "NaN", Decimal("Infinity"), None])
def test_an_amount_that_is_no_exact_decimal_is_refused(amount: Any) -> None:
    with pytest.raises(ValidationError):
        Cost(amount=amount, currency="ZMW")


def test_a_broken_string_does_not_keep_an_event_from_being_written() -> None:
    event = SmsRejected.model_validate(LEAST | {"reason": "half \ud83d of é"})
    assert json.loads(encode(event))["reason"] == "half ? of é"


def test_an_event_cannot_be_changed() -> None:
    event = SmsSent.model_validate(SENT)
    with pytest.raises(ValidationError):
        event.provider = "legacy"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (SENT | {"event": "sms.invented"}, "event: "),
        (SENT, "event: "),
        (SENT | {"event": "sms.sent", "attempt": 0}, "attempt: "),
    ],
)
def test_what_is_no_known_event_is_refused_with_its_message_id(
    fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_event(json.dumps(fields).encode())
    assert caught.value.message_id == "m-1"
    assert caught.value.problems[0].startswith(problem)


@pytest.mark.parametrize("name", ["+260977123456", "x" * 30_000, "sms.sent\u202e"])
def test_an_unknown_event_is_refused_without_its_name(name: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_event(json.dumps(LEAST | {"event": name, "messageId": name}).encode())
    assert caught.value.reason == "not a known event: event: expected a known name, got another one"
    assert caught.value.message_id in {None, name[:128]}


@given(raw=st.binary(max_size=100))
def test_any_bytes_are_an_event_or_a_decode_error(raw: bytes) -> None:
    for decode in (decode_event, decode_report):
        with pytest.raises(DecodeError):
            decode(raw)


def test_a_report_that_is_none_is_refused_without_its_content() -> None:
    raw = b'{"provider": "x", "kind": "other", "fields": {"phoneNumber": 260977123456}}'
    with pytest.raises(DecodeError) as caught:
        decode_report(raw)
    assert [each.split(":")[0] for each in caught.value.problems] == [
        "kind",
        "receivedAt",
        "fields",
    ]
    assert "260977" not in " ".join(caught.value.problems)
