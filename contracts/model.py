"""The base of all models on the wire.

Rules: camelCase on the wire, snake_case in Python, both spellings read; where one object carries
both spellings of a field, the camelCase one counts and the other is an unknown field. Models are
frozen. Unknown fields are ignored, so that a newer publisher does not break an older consumer;
`Strict` refuses them where a typo must not change what is done. Errors never echo input: it may be
a text or a number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

INT64: Final = 2**63
"""Bound of integers on the wire: signed 64 bit, which most stores and languages can hold."""

_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
_DECIMAL: Final = re.compile(r"-?[0-9]{1,32}(\.[0-9]{1,32})?([Ee][+-]?[0-9]{1,2})?", re.ASCII)
_ISO_8601: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].+", re.ASCII)
_HOURS_ALONE: Final = re.compile(r"[Tt ][0-9:.,]+[+-][0-9]{2}$", re.ASCII)


class Wire(BaseModel):
    """A frozen message or part of one; unknown fields are ignored."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )


class Strict(Wire):
    """Like `Wire`, but an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a time that exists in UTC") from None


def _spelled_out(value: object) -> object:
    """Refuse numbers, which pydantic would read as seconds since 1970; nobody means that.

    An offset of hours only (`+02`), which ISO 8601 allows and PostgreSQL writes, is completed.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and _ISO_8601.fullmatch(value):
        return f"{value}:00" if _HOURS_ALONE.search(value) else value
    raise ValueError("expected an ISO 8601 time")


def _exact(value: object) -> object:
    """Refuse JSON numbers: most readers turn them into floats, and money must not be rounded."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return value
    if isinstance(value, Decimal) and value.is_finite():
        return value
    raise ValueError("expected a decimal number in a string")


def _plain(amount: Decimal) -> str:
    return f"{amount:f}"  # never 1E+2: other languages' decimal parsers refuse exponents


Moment = Annotated[AwareDatetime, BeforeValidator(_spelled_out), AfterValidator(_in_utc)]
"""ISO 8601 with an offset; read as UTC, written with `Z`."""

Amount = Annotated[
    Decimal,
    BeforeValidator(_exact),
    PlainSerializer(_plain, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}),
]
"""A decimal number in a string, digits kept as they were written: `"0.8000"`."""

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""ISO 4217 code."""

LONGEST_ID: Final = 128
MessageId = Annotated[
    str,
    Field(strict=True),
    StringConstraints(min_length=1, max_length=LONGEST_ID, pattern=r"^[!-~]([ -~]*[!-~])?$"),
]
"""1 to 128 printable ASCII characters: it fits every AMQP short string, and event ids are computed
from the same bytes in every language. No blank at either end, because gateways that return the id
in a report strip blanks, and then it would be the id of another message."""

Line = Annotated[
    str, Field(strict=True), StringConstraints(min_length=1, max_length=128, pattern=_LINE)
]
"""1 to 128 characters of any script without control characters or line breaks."""

Count = Annotated[int, Field(strict=True, ge=0)]
"""How many."""

Int64 = Annotated[int, Field(strict=True, ge=-INT64, lt=INT64)]
"""A signed 64-bit integer; `1.0`, `"1"` and `true` are refused."""
