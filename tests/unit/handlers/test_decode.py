"""From the bytes of a command to a message, or the reason why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from contracts.names import Header, Queue
from tests.support.fakes import EPOCH, KEY, NUMBER, incoming
from worker.domain.messages import masking
from worker.domain.messages.message import Lane, Message, OnUnknown
from worker.domain.migration.phases import Role
from worker.handlers.decode import CommandDecoder, Refusal, carried, first_seen, text_header
from worker.numbers import normaliser

NOW = EPOCH
decoder = CommandDecoder(
    normalise=normaliser("ZM", frozenset({"ZM"}), strict=True),
    key=KEY,
    life_s={Lane.TRANSACTIONAL: 600.0, Lane.BULK: 86_400.0},
    policy={"Otp": OnUnknown.HOLD, "Alert": OnUnknown.RESEND},
)


def understood(**changes: Any) -> Message:
    found = decoder.decode(incoming(**changes), NOW)
    assert isinstance(found, Message), found
    return found


def refused(**changes: Any) -> Refusal:
    found = decoder.decode(incoming(**changes), NOW)
    assert isinstance(found, Refusal), found
    return found


def test_a_command_becomes_a_message() -> None:
    fields = {"senderId": "BANK", "userId": "ann", "branchId": 7, "messageType": "Alert"}
    trace = {Header.TRACEPARENT: b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    found = understood(fields=fields, correlation_id="c-1", headers=trace)
    assert found == Message(
        id="m-1",
        to=NUMBER,
        text="Your code is 1234",
        fingerprint=masking.fingerprint(KEY, NUMBER, "Your code is 1234", "BANK"),
        recipient=masking.recipient(KEY, NUMBER),
        lane=Lane.TRANSACTIONAL,
        on_unknown=OnUnknown.RESEND,
        expires_at=NOW + timedelta(seconds=600),
        message_type="Alert",
        sender_id="BANK",
        user_id="ann",
        branch_id=7,
        correlation_id="c-1",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        segments=1,
    )


def test_two_spellings_of_a_number_are_one_command() -> None:
    assert understood(fields={"to": "+260 977 123456"}) == understood()


@pytest.mark.parametrize(
    ("queue", "lane", "policy", "life_s"),
    [
        (Queue.TRANSACTIONAL, Lane.TRANSACTIONAL, OnUnknown.RESEND, 600),
        (Queue.BULK, Lane.BULK, OnUnknown.HOLD, 86_400),
        (Queue.LOST, Lane.BULK, OnUnknown.HOLD, 86_400),
    ],
)
def test_the_queue_names_lane_policy_and_life(
    queue: Queue, lane: Lane, policy: OnUnknown, life_s: float
) -> None:
    found = understood(queue=queue.value)
    assert (found.lane, found.on_unknown) == (lane, policy)
    assert found.expires_at == NOW + timedelta(seconds=life_s)


@pytest.mark.parametrize(
    ("queue", "kind", "policy"),
    [
        (Queue.TRANSACTIONAL, "Otp", OnUnknown.HOLD),
        (Queue.BULK, "Alert", OnUnknown.RESEND),
        (Queue.BULK, "News", OnUnknown.HOLD),
    ],
)
def test_policy_by_message_type_comes_before_the_lanes(
    queue: Queue, kind: str, policy: OnUnknown
) -> None:
    assert understood(queue=queue.value, fields={"messageType": kind}).on_unknown is policy


def test_an_end_of_life_of_its_own_counts() -> None:
    assert understood(fields={"expiresAt": "2026-03-01T13:00:00+02:00"}).expires_at == datetime(
        2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=2))
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"body": b"{"}, "not JSON"),
        ({"fields": {"to": "0211234567"}}, "to: expected a mobile number"),
        ({"type": "SendSms.v9"}, "unknown version"),
        ({"message_id": "other"}, "two message ids"),
    ],
)
def test_a_refusal_says_why(changes: dict[str, Any], reason: str) -> None:
    assert reason.lower() in refused(**changes).reason.lower()


def test_a_refusal_names_every_wrong_field_and_the_message() -> None:
    found = refused(fields={"branchId": "north", "text": 5})
    assert {line.partition(":")[0] for line in found.problems} == {"branchId", "text"}
    assert found.message_id == "m-1"


def test_a_refused_number_is_masked() -> None:
    found = refused(fields={"to": "+254711123456"})
    assert found.reason == "to: expected a number of ZM, got one of KE (+254******456)"
    assert found.message_id == "m-1"


# --- when it was first seen --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({}, NOW),
        ({"headers": {Header.FIRST_AT: "2026-03-01T11:00:00+00:00"}}, NOW - timedelta(hours=1)),
        ({"headers": {Header.FIRST_AT: b"2026-03-01T11:00:00"}}, NOW - timedelta(hours=1)),
        ({"headers": {Header.FIRST_AT: "2027-01-01T00:00:00+00:00"}}, NOW),
        ({"headers": {Header.FIRST_AT: "yesterday"}}, NOW),
        ({"headers": {Header.FIRST_AT: 5}}, NOW),
        ({"headers": {Header.FIRST_AT: "0001-01-01T00:00:00+23:59"}}, NOW),
        ({"headers": {Header.FIRST_AT: "9999-12-31T23:59:59-23:59"}}, NOW),
        (
            {"headers": {Header.FIRST_AT: bytearray(b"2026-03-01T11:00:00")}},
            NOW - timedelta(hours=1),
        ),
    ],
)
def test_a_message_is_as_old_as_it_was_first_seen(changes: dict[str, Any], seen: datetime) -> None:
    assert first_seen(incoming(**changes), NOW) == seen


@pytest.mark.parametrize(
    "stamp",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 2, tzinfo=UTC),
        NOW - timedelta(hours=5),
        NOW + timedelta(hours=5),
        datetime(9999, 12, 31, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23, minutes=59))),
    ],
)
def test_the_amqp_timestamp_neither_ends_nor_lengthens_a_life(stamp: datetime) -> None:
    assert understood(timestamp=stamp).expires_at == NOW + timedelta(seconds=600)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (3, 3),
        (0, 0),
        (2**31, 2**31),
        (2**31 + 1, 0),
        (2**63 - 1, 0),
        (-1, 0),
        ("3", 0),
        (True, 0),
        (None, 0),
        (2.0, 0),
    ],
)
def test_a_count_in_a_header_is_a_positive_integer(value: object, count: int) -> None:
    assert carried(incoming(headers={Header.ROUND: value}), Header.ROUND) == count


@pytest.mark.parametrize(
    ("value", "text"), [("t", "t"), (b"t", "t"), (b"\xff", "\ufffd"), (5, None), (None, None)]
)
def test_a_text_header_is_text_or_nothing(value: object, text: str | None) -> None:
    assert text_header(incoming(headers={Header.TRACEPARENT: value}), Header.TRACEPARENT) == text


@pytest.mark.parametrize("value", ["bad\nheader", "", "00-xyz", "é", 7, "00-" + "0" * 600])
def test_a_trace_that_is_none_is_dropped(value: object) -> None:
    assert understood(headers={Header.TRACEPARENT: value}).traceparent is None


@pytest.mark.parametrize(
    ("fields", "own", "probe"),
    [
        ({}, {NUMBER}, Role.LEGACY),
        ({}, {"+260977000000"}, None),
        ({"messageType": "validation"}, {NUMBER}, None),
        ({"metadata": {"ValidationProvider": "target"}}, {NUMBER}, Role.TARGET),
        ({"metadata": {"ValidationProvider": "twilio"}}, {NUMBER}, None),
        ({"metadata": None}, {NUMBER}, None),
    ],
)
def test_a_probe_is_of_its_type_and_to_a_phone_of_our_own_and_names_a_provider(
    fields: dict[str, Any], own: set[str], probe: Role | None
) -> None:
    asked = {"messageType": "Validation", "metadata": {"ValidationProvider": "legacy"}}
    probing = replace(decoder, own_numbers=lambda: own)
    found = probing.decode(incoming(fields=asked | fields), NOW)
    assert isinstance(found, Message)
    assert found.probe is probe
