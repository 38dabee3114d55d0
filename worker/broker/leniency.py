"""Decoding of AMQP properties that lets no publisher end our connection.

Rules: what the client library cannot decode closes the connection, and the broker delivers the same
message again at once: one upstream service with a clock in nanoseconds, or an id in Latin-1, would
stop every queue until the delivery limit is spent. So what has no meaning is decoded to something
that has none either, and the message is judged like any other. The library offers no hook for this
but its tables of decoders, which are therefore exchanged, once, when the first link starts.
Wire format: AMQP 0-9-1, section 4.2.5.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pamqp import decode, encode

if TYPE_CHECKING:
    from pamqp.common import FieldTable, FieldValue

NO_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Stands for a time no calendar holds: in the future, so it counts as now."""
_SUBSTITUTE: Final = "\x1a"
"""Stands for a byte that is no text: not printable, so what holds one is no valid id."""
_LENGTH_BYTES: Final = 4


def install() -> None:
    """Exchange the decoders. Idempotent."""
    decode.METHODS.update(timestamp=_timestamp, shortstr=_short_string, table=_table)
    decode.TABLE_MAPPING.update({b"T": _timestamp, b"F": _table})


def portable(headers: dict[str, object]) -> FieldTable:
    """Headers that can be encoded; a value that cannot is told in words instead."""
    return {name: _encodable(value) for name, value in headers.items()}


def _encodable(value: object) -> FieldValue:
    if isinstance(value, bytes):  # text of another encoding: keeps its octets as a byte array
        return bytearray(value)
    try:
        encode.encode_table_value(value)  # type: ignore[arg-type] # whether it fits is the question
    except (TypeError, ValueError, ArithmeticError):
        return repr(value)
    return value  # type: ignore[return-value] # it does


def _timestamp(value: bytes) -> tuple[int, datetime]:
    try:
        return _STRICT_TIMESTAMP(value)
    except (ValueError, OverflowError, OSError):
        return 8, NO_TIME


def _short_string(value: bytes) -> tuple[int, str]:
    try:
        return _STRICT_SHORT_STRING(value)
    except UnicodeDecodeError:
        end = value[0] + 1
        # One octet for one: it must fit into a short string again.
        text = value[1:end].decode("ascii", "replace").replace("\ufffd", _SUBSTITUTE)
        return end, text


def _table(value: bytes) -> tuple[int, FieldTable]:
    try:
        return _STRICT_TABLE(value)
    except ValueError:
        return _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES], "big"), {}


_STRICT_TIMESTAMP: Final = decode.timestamp
_STRICT_SHORT_STRING: Final = decode.short_str
_STRICT_TABLE: Final = decode.field_table
