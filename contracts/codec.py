"""Bytes to models and back, and the ids of events.

Rules: JSON in UTF-8, camelCase, absent instead of null. What is read is bounded (`MAX_BODY_BYTES`)
and either a model or a `DecodeError`, never another exception. A `DecodeError` carries no input:
it may be logged, stored and published.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticSerializationError, from_json

from contracts.names import MAX_BODY_BYTES

if TYPE_CHECKING:
    from contracts.model import Wire

NAMESPACE: Final = uuid.UUID("6f1f6a0e-5d0b-5b8e-9c55-0f6c2e7a4d31")
"""UUIDv5 namespace of event ids; never changes."""


class DecodeError(ValueError):
    """A body that is no valid message.

    Attributes:
        reason: one line, for a header or a log.
        message_id: id of the message where one could be recovered, else None.
        problems: one line each, by the field's name on the wire: what was expected, what came.
    """

    def __init__(
        self, reason: str, message_id: str | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message_id = message_id
        self.problems = problems


def encode(model: Wire) -> bytes:
    """JSON in UTF-8, camelCase, without nulls.

    Never fails on a string: a lone surrogate (a provider's broken reply in a `reason`) becomes `?`,
    for an event that cannot be written would be a fact that is never told.
    """
    try:
        return model.model_dump_json(by_alias=True, exclude_none=True).encode()
    except PydanticSerializationError:
        plain = model.model_dump(mode="json", by_alias=True, exclude_none=True)
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace")


def event_id(message_id: str, event: str, ordinal: int) -> uuid.UUID:
    r"""Id of an event: the same fact published twice has the same one.

    UUIDv5 (RFC 9562, section 5.5) in `NAMESPACE` over the UTF-8 bytes of message id, event name
    and ordinal in decimal, joined by line feeds: `"m-1\nsms.sent\n1"`.

    Args:
        message_id: id of the message.
        event: routing key, e.g. `sms.sent`.
        ordinal: number of the attempt; for closing events (failed, expired, rejected) the
            number of the life of the message: 1, rising with each replay.
    """
    return uuid.uuid5(NAMESPACE, f"{message_id}\n{event}\n{ordinal}")


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a body into a JSON object.

    Raises:
        DecodeError: too long, not JSON in UTF-8, or not an object.
    """
    if len(body) > MAX_BODY_BYTES:
        problem = f"body: expected at most {MAX_BODY_BYTES} bytes, got {len(body)}"
        raise DecodeError("body too long", None, (problem,))
    value = _parse(body)
    if not isinstance(value, dict):
        problem = f"body: expected a JSON object, got {type_name(value)}"
        raise DecodeError("not a JSON object", None, (problem,))
    return value


def _parse(body: bytes) -> object:
    """Parse JSON; the fast reader first, then one that lets escaped lone surrogates through.

    The models refuse them by the name of their field, which a parse error could not say: an emoji
    cut in half is a common mistake of publishers that count UTF-16 units.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        pass
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise DecodeError("not JSON", None, ("body: expected JSON in UTF-8",)) from None


def _refuse_constant(name: str) -> object:
    raise ValueError(name)  # NaN and Infinity are not JSON


def type_name(value: object) -> str:
    """JSON's name for the type of a parsed value, with an article."""
    return _TYPE_NAMES.get(type(value), "something else")


_TYPE_NAMES: Final[dict[type, str]] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
