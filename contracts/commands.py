"""The command that upstream services send to the worker: `SendSms`.

Rules: a command is accepted as a whole or refused. A refusal names each wrong field, what was
expected and what came. It never repeats the text, the number or anything else that may hold one.
`null` counts as absent. So do an empty or blank string in an optional field and an empty array for
`metadata`, because serialisers of .NET, Java and PHP write them for an absent value. If a field is
given in both spellings, the camelCase one counts. Limits keep every command storable (no NUL, no
lone surrogate) and every id within an AMQP short string.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from contracts import problems
from contracts.codec import DecodeError, read_object
from contracts.model import Int64, Line, MessageId, Moment, Wire

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SEND_TYPE: Final = "SendSms.v1"
"""AMQP `type` of a `SendSms`; absent means the same."""

MAX_TEXT: Final = 1600
"""Most characters (code points) of a text: ten parts of GSM 03.38, the usual limit of gateways."""
MAX_METADATA: Final = 32
"""Most entries of `metadata`."""
VALIDATION: Final = "Validation"
"""Reserved `messageType` of a validation message, which goes to a phone configured for it."""
VALIDATION_PROVIDER: Final = "ValidationProvider"
"""Entry of `metadata` of a validation message: the provider to use, `target` or `legacy`."""

_NO_NUL: Final = r"^[^\x00]*$"
_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]{1,19}\s*", re.ASCII)
_VALID_ID: Final = re.compile(r"[!-~]([ -~]{0,126}[!-~])?", re.ASCII)

_METADATA_KEYS: Final = {"userId": "UserId", "branchId": "BranchId", "messageType": "MessageType"}
"""Fields that are read from an entry of `metadata` if they are absent."""
_SNAKE: Final = {"userId": "user_id", "branchId": "branch_id", "messageType": "message_type"}
_REQUIRED: Final = frozenset({"to", "text"})
"""Fields that must not be empty; for an empty `messageId`, the AMQP property is used."""

Metadata = Annotated[
    dict[
        Line,
        Annotated[str, Field(strict=True), StringConstraints(max_length=1024, pattern=_NO_NUL)],
    ],
    Field(max_length=MAX_METADATA),
]
"""Up to 32 entries; values are strings of up to 1024 characters."""


def _optional_id(schema: dict[str, Any]) -> None:
    """Make `messageId` optional in the JSON Schema, because the AMQP property can replace it."""
    schema["required"] = [name for name in schema["required"] if name != "messageId"]


class SendSms(Wire):
    """Send one SMS. It is sent once, however often it is published with the same id."""

    model_config = ConfigDict(json_schema_extra=_optional_id)

    message_id: MessageId
    """Idempotency key. Required here or as AMQP `message_id`; if both are given, they are equal."""
    to: Annotated[
        str,
        Field(strict=True),
        StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00]+$"),
    ]
    """Phone number, E.164 preferred; national numbers are read in the worker's default region."""
    text: Annotated[
        str,
        Field(strict=True),
        StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"^[^\x00]+$"),
    ]
    """What the recipient reads, up to 1600 characters."""
    sender_id: Annotated[Line, StringConstraints(max_length=20)] | None = None
    """Registered sender id; absent: the one configured for the provider."""
    user_id: Line | None = None
    """User on whose behalf it is sent; if absent, `metadata.UserId` is used."""
    branch_id: Int64 | None = None
    """Branch; if absent, `metadata.BranchId` (an integer in a string) is used."""
    message_type: Line = "Standard"
    """Kind of message, for policy and reports; if absent, `metadata.MessageType` is used."""
    expires_at: Moment | None = None
    """Not sent after this moment (ISO 8601 with an offset); absent: the lane's default life."""
    metadata: Metadata | None = None
    """Free strings of the publisher."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Drop values that count as absent, then fill absent fields from `metadata`."""
        if not isinstance(data, dict):
            return data
        given = {n: value for n, value in data.items() if n in _REQUIRED or not _is_nothing(value)}
        metadata = given.get("metadata")
        if isinstance(metadata, dict):
            for name, key in _METADATA_KEYS.items():
                value = metadata.get(key)
                if isinstance(value, str) and name not in given and _SNAKE[name] not in given:
                    _serve(given, name, value)
        return given


def _is_nothing(value: object) -> bool:
    """Whether a value counts as absent."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _serve(given: dict[str, Any], name: str, value: str) -> None:
    """Fill `name` from `metadata`; an empty entry counts as absent."""
    if name == "branchId" and _INTEGER.fullmatch(value):
        given[name] = int(value)
    elif not _is_nothing(value):
        given[name] = value


def decode_send(
    body: bytes,
    *,
    message_id: str | None,
    type_: str | None,
    content_type: str | None = None,
) -> SendSms:
    """Read a `SendSms` from a delivery.

    Args:
        body: as it came from the broker.
        message_id: AMQP property; empty counts as absent.
        type_: AMQP property; absent means `SendSms.v1`.
        content_type: AMQP property; only a hint in a refusal, because the body decides.

    Raises:
        DecodeError: not a valid command; never another exception. It carries the message id if
            one can be read: the body's, else the property's.
    """
    try:
        data = read_object(body)
    except DecodeError as error:
        hints = error.problems + _content_hint(content_type)
        raise DecodeError(error.reason, valid_id(message_id), hints) from None
    own = _own_id(data)
    if own is None and message_id:
        data["messageId"] = message_id
    if type_ and type_ != SEND_TYPE:
        raise _unknown_type(type_, valid_id(own) or valid_id(message_id))
    if message_id and isinstance(own, str) and own != message_id:
        raise _two_ids(own, message_id)
    try:
        return SendSms.model_validate(data)
    except ValidationError as error:
        lines = [_problem(each, data) for each in error.errors(include_url=False)]
        raise problems.refusal(lines, valid_id(own) or valid_id(message_id)) from None


def own_message_id(body: bytes) -> str | None:
    """Return the message id in a body; None if it has no valid one."""
    try:
        data = read_object(body)
    except DecodeError:
        return None
    return valid_id(_own_id(data))


def _own_id(data: dict[str, Any]) -> object:
    """Return the id in a body, valid or not; None if it has none."""
    spelled = (data.get(name) for name in ("messageId", "message_id"))
    return next((each for each in spelled if not _is_nothing(each)), None)


def valid_id(candidate: object) -> str | None:
    """Return the candidate if it is a valid message id, else None."""
    if isinstance(candidate, str) and _VALID_ID.fullmatch(candidate):
        return candidate
    return None


def _content_hint(content_type: str | None) -> tuple[str, ...]:
    if not content_type or "json" in content_type.lower():
        return ()
    shown = json.dumps(content_type[:64])
    return (problems.problem("content_type", '"application/json"', shown),)


def _unknown_type(type_: str, message_id: str | None) -> DecodeError:
    what = "version" if type_.startswith("SendSms.") else "type"
    line = problems.problem("type", f'"{SEND_TYPE}"', json.dumps(type_[:64]))
    return DecodeError(f"unknown {what}", message_id, (line,))


def _two_ids(own: str, other: str) -> DecodeError:
    shown = [f'"{each}"' if valid_id(each) else problems.kind(each) for each in (other, own)]
    line = problems.problem("messageId", f"the AMQP message_id {shown[0]}", shown[1])
    return DecodeError("two message ids", valid_id(own) or valid_id(other), (line,))


_LINE: Final = "a string of 1 to 128 characters without control characters"
_EXPECTED: Final = {
    "messageId": "1 to 128 printable ASCII characters",
    "to": "a phone number in a string of 1 to 64 characters",
    "text": f"a string of 1 to {MAX_TEXT} characters without NUL",
    "senderId": "a string of 1 to 20 characters without control characters",
    "userId": _LINE,
    "branchId": "an integer",
    "messageType": _LINE,
    "expiresAt": "a time in ISO 8601 with an offset",
    "metadata": f"an object of up to {MAX_METADATA} entries",
}
_EXPECTED_KEY: Final = "a key of 1 to 128 characters without control characters"
_EXPECTED_VALUE: Final = "a string of up to 1024 characters without NUL"
_NO_BLANKS: Final = ", without a blank at either end"
_GOT: Final = {"branchId": problems.integer, "expiresAt": problems.moment}


def _problem(detail: ErrorDetails, data: dict[str, Any]) -> str:
    """Describe one error of the model in our words."""
    given, *rest = (str(part) for part in detail["loc"])
    field = to_camel(given)
    if rest:
        expected = _EXPECTED_KEY if rest[-1] == "[key]" else _EXPECTED_VALUE
        name = f"{field}.{problems.key(rest[0])}"
        return problems.problem(name, expected, problems.kind(detail["input"]))
    if detail["type"] == "missing":
        return problems.problem(field, _EXPECTED[field], "nothing")
    got = _GOT.get(field, problems.kind)(detail["input"])
    expected = _EXPECTED[field] + (_NO_BLANKS if field == "messageId" else "")
    return problems.problem(_source(field, data), expected, got)


def _source(field: str, data: dict[str, Any]) -> str:
    """Return where a field's value came from: the field, or an entry of `metadata`."""
    key = _METADATA_KEYS.get(field)
    if key is None or data.get(field) is not None or data.get(_SNAKE[field]) is not None:
        return field
    return f"metadata.{key}"


__all__ = [
    "MAX_TEXT",
    "SEND_TYPE",
    "VALIDATION",
    "VALIDATION_PROVIDER",
    "DecodeError",
    "SendSms",
    "decode_send",
    "own_message_id",
    "valid_id",
]
