"""Converts bytes to models and back, and computes the ids of events.

Rules: JSON in UTF-8, camelCase, absent instead of null. A byte order mark at the start is ignored,
as RFC 8259 (section 8.1) allows, because serialisers of .NET write one. Input is bounded in length
and depth (`MAX_BODY_BYTES`, `MAX_DEPTH`). It gives a model or a `DecodeError`, never another
exception. A `DecodeError` carries no input, so it may be logged, stored and published.
"""

from __future__ import annotations

import codecs
import json
import uuid
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticSerializationError, from_json

from contracts.names import MAX_BODY_BYTES

if TYPE_CHECKING:
    from contracts.model import Wire

NAMESPACE: Final = uuid.UUID("6f1f6a0e-5d0b-5b8e-9c55-0f6c2e7a4d31")
"""UUIDv5 namespace of event ids; never changes."""


MAX_DEPTH: Final = 32
"""Deepest nesting of objects and arrays that is read."""

_OTHER_MARKS: Final = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""The longer ones first: the mark of UTF-32 begins with that of UTF-16."""


class DecodeError(ValueError):
    """A body is not a valid message.

    Attributes:
        reason: one line, for a header or a log.
        message_id: id of the message if it can be read, else None.
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
    """Write JSON in UTF-8, camelCase, without nulls.

    It never fails on a string: a lone surrogate (a provider's broken reply in a `reason`) becomes
    `?`. Otherwise the event could not be written, and nobody would learn of the fact.
    """
    try:
        return model.model_dump_json(by_alias=True, exclude_none=True).encode()
    except PydanticSerializationError:
        plain = model.model_dump(mode="json", by_alias=True, exclude_none=True)
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace")


def event_id(message_id: str, event: str, ordinal: int) -> uuid.UUID:
    r"""Compute the id of an event: the same fact published twice has the same id.

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
        DecodeError: too long, nested too deep, not JSON in UTF-8, or not an object.
    """
    if len(body) > MAX_BODY_BYTES:
        problem = f"body: expected at most {MAX_BODY_BYTES} bytes, got {len(body)}"
        raise DecodeError("body too long", None, (problem,))
    value = _parse(body.removeprefix(codecs.BOM_UTF8))
    if not isinstance(value, dict):
        problem = f"body: expected a JSON object, got {type_name(value)}"
        raise DecodeError("not a JSON object", None, (problem,))
    if _depth(value) > MAX_DEPTH:
        raise _too_deep()
    return value


def _depth(value: object) -> int:
    """Count the levels of objects and arrays, up to one more than allowed."""
    level, depth = [value], 0
    while depth <= MAX_DEPTH:
        inner = [each for each in level if isinstance(each, dict | list)]
        if not inner:
            break
        depth += 1
        level = [x for each in inner for x in (each.values() if isinstance(each, dict) else each)]
    return depth


def _parse(body: bytes) -> object:
    """Parse JSON with the fast reader, then with one that accepts escaped lone surrogates.

    The models refuse lone surrogates by the name of the field, which a parse error does not know.
    An emoji cut in half is a common mistake of publishers that count UTF-16 units.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        pass
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        problem = f"body: expected JSON in UTF-8{_got(body)}"
        raise DecodeError("not JSON", None, (problem,)) from None


def other_encoding(body: bytes) -> str | None:
    """Return the encoding that a byte order mark names, if it is not UTF-8."""
    return next((name for mark, name in _OTHER_MARKS.items() if body.startswith(mark)), None)


def _got(body: bytes) -> str:
    """Return the end of the error text: the byte order mark of another encoding, if any."""
    encoding = other_encoding(body)
    return f", got a byte order mark of {encoding}" if encoding else ""


def _too_deep() -> DecodeError:
    problem = f"body: expected at most {MAX_DEPTH} levels of nesting, got more"
    return DecodeError("nested too deep", None, (problem,))


def _refuse_constant(name: str) -> object:
    raise ValueError(name)  # NaN and Infinity are not JSON


def type_name(value: object) -> str:
    """Return JSON's name for the type of a parsed value, with an article."""
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
