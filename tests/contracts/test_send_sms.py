"""`SendSms`: what is understood, what is refused, and that a refusal says why and no more."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.commands import SEND_TYPE, DecodeError, SendSms, decode_send

SECRET = "Your code is 4711"
NUMBER = "+260977123456"
GOOD = {"messageId": "m-1", "to": NUMBER, "text": SECRET}


def body(**changes: object) -> bytes:
    fields = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return json.dumps(fields).encode()


def decode(raw: bytes, message_id: str | None = None, type_: str | None = None) -> SendSms:
    return decode_send(raw, message_id=message_id, type_=type_)


def refusal(raw: bytes, message_id: str | None = None, type_: str | None = None) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(raw, message_id, type_)
    return caught.value


def test_the_least_command_takes_the_defaults() -> None:
    assert decode(body()) == SendSms(
        message_id="m-1", to=NUMBER, text=SECRET, message_type="Standard"
    )


def test_the_amqp_message_id_serves_for_a_missing_one() -> None:
    assert decode(body(messageId=...), message_id="amqp").message_id == "amqp"


def test_the_same_id_twice_is_one_id() -> None:
    assert decode(body(), message_id="m-1").message_id == "m-1"


def test_an_empty_amqp_message_id_counts_as_absent() -> None:
    assert decode(body(), message_id="").message_id == "m-1"


@pytest.mark.parametrize("type_", [None, "", SEND_TYPE])
def test_an_absent_type_means_version_one(type_: str | None) -> None:
    assert decode(body(), type_=type_).message_id == "m-1"


def test_unknown_fields_are_ignored() -> None:
    assert decode(body(priority={"deep": [1]})) == decode(body())


def test_null_counts_as_absent() -> None:
    nulls = dict.fromkeys(("senderId", "userId", "branchId", "messageType", "expiresAt"))
    assert decode(body(**nulls, metadata=None)) == decode(body())


def test_snake_case_is_read() -> None:
    assert decode(body(messageId=..., message_id="m-9", branch_id=4)).branch_id == 4


def test_of_both_spellings_camel_case_counts() -> None:
    assert decode(body(userId="camel", user_id="snake")).user_id == "camel"


def test_a_null_in_camel_case_leaves_it_to_the_other_spelling() -> None:
    assert decode(body(userId=None, user_id="snake")).user_id == "snake"


def test_metadata_serves_where_fields_are_absent() -> None:
    metadata = {"UserId": "u", "BranchId": "-12", "MessageType": "OTP"}
    sms = decode(body(metadata=metadata))
    assert (sms.user_id, sms.branch_id, sms.message_type) == ("u", -12, "OTP")


def test_a_field_counts_before_metadata() -> None:
    metadata = {"UserId": "m", "BranchId": "no number", "MessageType": "M"}
    sms = decode(body(metadata=metadata, user_id="f", branchId=1, messageType="F"))
    assert (sms.user_id, sms.branch_id, sms.message_type) == ("f", 1, "F")


@pytest.mark.parametrize("nothing", ["", " ", "\t\r\n", "\u00a0"])
def test_an_empty_entry_in_metadata_means_none(nothing: str) -> None:
    sms = decode(body(metadata={"UserId": nothing, "MessageType": nothing, "BranchId": nothing}))
    assert (sms.user_id, sms.message_type, sms.branch_id) == (None, "Standard", None)


OPTIONAL = ("senderId", "userId", "branchId", "messageType", "expiresAt", "metadata")


@pytest.mark.parametrize("nothing", ["", " ", "\t\r\n", []])
def test_an_empty_optional_field_is_an_absent_one(nothing: object) -> None:
    assert decode(body(**dict.fromkeys(OPTIONAL, nothing))) == decode(body())
    snake = {"sender_id": nothing, "user_id": nothing, "branch_id": nothing, "expires_at": nothing}
    assert decode(body(**snake)) == decode(body())


@pytest.mark.parametrize("nothing", ["", " ", None])
def test_an_empty_id_leaves_it_to_the_amqp_property(nothing: object) -> None:
    assert decode(body(messageId=nothing), message_id="amqp").message_id == "amqp"
    assert decode(body(messageId=nothing, message_id="snake")).message_id == "snake"


def test_an_empty_field_in_camel_case_leaves_it_to_metadata() -> None:
    assert decode(body(userId="", metadata={"UserId": "m"})).user_id == "m"


@pytest.mark.parametrize("field", ["to", "text"])
def test_an_empty_required_field_is_refused_by_name(field: str) -> None:
    assert refusal(body(**{field: ""})).problems[0].startswith(f"{field}: expected ")


# --- what serialisers of other languages write -------------------------------------------------


def test_a_byte_order_mark_before_the_json_is_ignored() -> None:
    assert decode(b"\xef\xbb\xbf" + body()) == decode(body())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-be", "utf-32-be"])
def test_json_in_another_encoding_is_named_by_its_mark(encoding: str) -> None:
    mark = "" if encoding in ("utf-16", "utf-32") else "\ufeff"
    error = refusal((mark + body().decode()).encode(encoding))
    name = encoding.upper()[:6]
    assert error.problems == (f"body: expected JSON in UTF-8, got a byte order mark of {name}",)


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-26T09:10:00+02",
        "2026-11-26 09:10:00+02",
        "2026-11-26T09:10:00.1234567+02:00",
        "2026-11-26T09:10:00+0200",
        "2026-11-26T07:10:00Z",
        "2026-11-26t07:10:00z",
        "2026-11-26 02:10:00.000-05",
    ],
)
def test_a_time_is_read_as_other_languages_write_it(written: str) -> None:
    expires_at = decode(body(expiresAt=written)).expires_at
    assert expires_at is not None
    assert expires_at.replace(microsecond=0) == datetime(2026, 11, 26, 7, 10, tzinfo=UTC)


@pytest.mark.parametrize("written", ["2026-11-26T09:10:00", "2026-11-26-05", "2026-11-26T09:10+2"])
def test_a_time_without_an_offset_is_refused(written: str) -> None:
    assert refusal(body(expiresAt=written)).problems[0].startswith("expiresAt: expected a time")


def test_the_expiry_is_read_as_utc() -> None:
    sms = decode(body(expiresAt="2026-03-01T10:00:00+02:00"))
    assert sms.expires_at == datetime(2026, 3, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"branchId": "north"}, 'branchId: expected an integer, got "north"'),
        ({"branchId": "7"}, 'branchId: expected an integer, got "7"'),
        ({"branchId": 7.0}, "branchId: expected an integer, got a number"),
        ({"branchId": True}, "branchId: expected an integer, got a boolean"),
        ({"branchId": 2**63}, "branchId: expected an integer, got one of more than 64 bits"),
        (
            {"metadata": {"BranchId": "north"}},
            'metadata.BranchId: expected an integer, got "north"',
        ),
        ({"metadata": {"BranchId": "0x7"}}, 'metadata.BranchId: expected an integer, got "0x7"'),
        (
            {"metadata": {"BranchId": 7}},
            (
                "metadata.BranchId: expected a string of up to 1024 characters without NUL, "
                "got an integer"
            ),
        ),
        (
            {"metadata": dict.fromkeys(map(str, range(33)), "")},
            "metadata: expected an object of up to 32 entries, got an object with 33 entries",
        ),
        (
            {"expiresAt": "2026-03-01T10:00:00"},
            'expiresAt: expected a time in ISO 8601 with an offset, got "2026-03-01T10:00:00"',
        ),
        (
            {"expiresAt": 1772359200},
            "expiresAt: expected a time in ISO 8601 with an offset, got an integer",
        ),
        (
            {"expiresAt": "1772359200"},
            "expiresAt: expected a time in ISO 8601 with an offset, got a string of 10 characters",
        ),
        (
            {"to": 260977123456},
            "to: expected a phone number in a string of 1 to 64 characters, got an integer",
        ),
        (
            {"text": ...},
            "text: expected a string of 1 to 1600 characters without NUL, got nothing",
        ),
        (
            {"text": "x" * 1601},
            (
                "text: expected a string of 1 to 1600 characters without NUL, "
                "got a string of 1601 characters"
            ),
        ),
        (
            {"text": "a\0"},
            (
                "text: expected a string of 1 to 1600 characters without NUL, "
                "got a string of 2 characters, one of them NUL"
            ),
        ),
        (
            {"text": "\ud83d"},
            (
                "text: expected a string of 1 to 1600 characters without NUL, "
                "got a string of 1 character, one of them half a surrogate pair"
            ),
        ),
        (
            {"senderId": "x" * 21},
            (
                "senderId: expected a string of 1 to 20 characters without control characters, "
                "got a string of 21 characters"
            ),
        ),
        (
            {"userId": "a\nb"},
            (
                "userId: expected a string of 1 to 128 characters without control characters, "
                "got a string of 3 characters"
            ),
        ),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected_and_what_came(
    changes: dict[str, Any], problem: str
) -> None:
    error = refusal(body(**changes))
    assert (error.problems, error.reason, error.message_id) == ((problem,), problem, "m-1")


@pytest.mark.parametrize(
    ("field", "value", "got"),
    [
        ("branchId", "4711", "a string of 4 characters"),
        ("branchId", "Code 47", "a string of 7 characters"),
        ("branchId", "OTP-4711", "a string of 8 characters"),
        ("expiresAt", "2026-03-01 0977123456", "a string of 21 characters"),
        ("expiresAt", "2026-03-01T10:00:00Z+260977123456", "a string of 33 characters"),
    ],
)
def test_what_may_be_a_text_a_code_or_a_number_is_not_repeated(
    field: str, value: str, got: str
) -> None:
    error = refusal(body(**{field: value}))
    assert error.problems[0].endswith(f"got {got}")


def test_a_wrong_field_in_snake_case_is_named_as_on_the_wire() -> None:
    error = refusal(body(branch_id="north"))
    assert error.problems == ('branchId: expected an integer, got "north"',)


def test_every_wrong_field_is_listed() -> None:
    error = refusal(body(to=..., branchId="north", senderId=5))
    assert [each.split(":")[0] for each in error.problems] == ["to", "senderId", "branchId"]
    assert error.reason.endswith("(and 2 more)")


def test_the_list_of_problems_is_bounded() -> None:
    metadata = {f"key {number}": number for number in range(32)}
    error = refusal(body(metadata=metadata))
    assert (len(error.problems), error.problems[-1]) == (21, "and 12 more")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"<sms/>", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b"[" * 5000, "nested too deep"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "nested too deep"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "nested too deep"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"text": "' + b"x" * 2_000_000 + b'"}', "body too long"),
    ],
    ids=[
        "empty",
        "xml",
        "utf-16",
        "nan",
        "too deep to parse",
        "33 levels",
        "300 levels",
        "long number",
        "array",
        "null",
        "2 MB",
    ],
)
def test_a_body_that_is_no_command_keeps_the_amqp_id(raw: bytes, reason: str) -> None:
    error = refusal(raw, message_id="amqp")
    assert (error.reason, error.message_id) == (reason, "amqp")


def test_an_ignored_field_of_32_levels_is_read() -> None:
    raw = body()[:-1] + b', "pad": ' + b"[" * 31 + b"]" * 31 + b"}"
    assert decode(raw).message_id == "m-1"


def test_a_body_of_exactly_64_kib_is_read() -> None:
    raw = body()[:-1] + b', "pad": "'
    raw += b"x" * (64 * 1024 - len(raw) - 2) + b'"}'
    assert (len(raw), decode(raw).message_id) == (65536, "m-1")
    assert refusal(raw + b" ").reason == "body too long"


def test_a_missing_id_is_refused_by_name() -> None:
    error = refusal(body(messageId=...))
    assert error.problems == (
        "messageId: expected 1 to 128 printable ASCII characters, got nothing",
    )
    assert error.message_id is None


BLANKS = (
    *(" m-1", "m-1 ", " m-1 ", "\tm-1", "m-1\n", "m-1\r\n"),
    *("\u00a0m-1", "m-1\u2003", "m-1\x85", "\ufeffm-1"),
)


@pytest.mark.parametrize("ident", BLANKS)
def test_an_id_with_a_blank_at_an_end_is_refused_by_name(ident: str) -> None:
    expected = "1 to 128 printable ASCII characters, without a blank at either end"
    error = refusal(body(messageId=ident))
    assert error.problems[0].startswith(f"messageId: expected {expected}, got ")
    assert error.message_id is None


@pytest.mark.parametrize("ident", BLANKS)
def test_an_amqp_id_with_a_blank_at_an_end_is_refused_as_well(ident: str) -> None:
    error = refusal(body(messageId=...), message_id=ident)
    assert error.problems[0].startswith("messageId: expected ")
    assert error.message_id is None


@pytest.mark.parametrize("ident", [" ", "   ", "\t"])
def test_an_id_of_blanks_alone_is_none(ident: str) -> None:
    got_nothing = "messageId: expected 1 to 128 printable ASCII characters, got nothing"
    assert refusal(body(messageId=ident)).problems == (got_nothing,)
    assert decode(body(messageId=ident), message_id="amqp").message_id == "amqp"


@pytest.mark.parametrize("ident", ["m 1", "m", "~", "!" * 128, "a" + " " * 126 + "b"])
def test_an_id_may_hold_blanks_between_others(ident: str) -> None:
    assert decode(body(messageId=ident)).message_id == ident


@pytest.mark.parametrize("bad", ["", "x" * 129, "a\nb", "naïve", "\0", 5])
def test_an_invalid_id_is_never_handed_on(bad: object) -> None:
    assert refusal(body(messageId=bad)).message_id is None
    assert refusal(body(messageId=bad), message_id=None).problems[0].startswith("messageId: ")


def test_two_different_ids_are_refused() -> None:
    error = refusal(body(), message_id="other")
    assert (error.reason, error.message_id) == ("two message ids", "m-1")


@pytest.mark.parametrize(
    ("type_", "reason"), [("SendSms.v2", "unknown version"), ("OrderPlaced", "unknown type")]
)
def test_another_type_is_refused_with_the_id(type_: str | None, reason: str) -> None:
    error = refusal(body(), type_=type_)
    assert (error.reason, error.message_id) == (reason, "m-1")


def test_a_foreign_content_type_is_mentioned_when_the_body_is_no_json() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_send(b"<a/>", message_id=None, type_=None, content_type="application/xml")
    assert caught.value.problems[1].endswith('got "application/xml"')


def test_the_body_decides_whatever_the_content_type() -> None:
    sms = decode_send(body(), message_id=None, type_=None, content_type="text/plain")
    assert sms.message_id == "m-1"


FIELDS = ("messageId", "senderId", "userId", "branchId", "messageType", "expiresAt", "metadata")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [SECRET * 20, NUMBER + "\n", [NUMBER], {NUMBER: [SECRET]}])
def test_a_refusal_never_echoes_a_text_or_a_number(field: str, value: object) -> None:
    error = refusal(body(**{field: value}, text=SECRET + "\0", to=[NUMBER]))
    told = " ".join((error.reason, *error.problems, str(error)))
    assert SECRET not in told
    assert NUMBER[1:] not in told


IDS = st.none() | st.text(max_size=10)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = [*GOOD, *FIELDS, "user_id", "branch_id", "message_id", "expires_at"]
COMMANDS = st.dictionaries(
    st.sampled_from(NAMES) | st.text(st.characters(), max_size=5), JSON_VALUES, max_size=9
)


def understood(raw: bytes, message_id: str | None, type_: str | None) -> None:
    try:
        sms = decode(raw, message_id, type_)
    except DecodeError as error:
        json.dumps(error.problems).encode()
        assert error.reason  # noqa: PT017 - both ways out of `decode` are expected
        "".join((error.reason, *error.problems)).encode()
    else:
        sms.text.encode()
        sms.message_id.encode("ascii")


@given(raw=st.binary(max_size=200), message_id=IDS, type_=IDS)
def test_any_bytes_are_a_command_or_a_decode_error(
    raw: bytes, message_id: str | None, type_: str | None
) -> None:
    understood(raw, message_id, type_)


@given(command=COMMANDS, message_id=IDS, full=st.booleans())
@example(command={"metadata": {"\ud800": "\udfff"}}, message_id=None, full=True)
@example(command={"\ud800": 1}, message_id="\ud800", full=True)
@example(command={"expiresAt": "9999-12-31T23:59:59-12:00"}, message_id=None, full=True)
def test_any_json_object_is_a_command_or_a_decode_error(
    command: dict[str, object], message_id: str | None, *, full: bool
) -> None:
    raw = json.dumps((GOOD | command) if full else command).encode()
    understood(raw, message_id, None)


def test_the_model_alone_refuses_what_is_no_object() -> None:
    with pytest.raises(ValidationError):
        SendSms.model_validate([])
