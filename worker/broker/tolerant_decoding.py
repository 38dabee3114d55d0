"""Decodes any AMQP properties, so that no publisher can make us lose the connection.

Rules:
- Decoding never fails. A property that the client library cannot decode would close the connection,
  and the broker would at once deliver the same message again. So a meaningless value is decoded to
  a substitute without meaning, and the message is handled like any other.
- Decoding is bounded: a header table of more than `MAX_TABLE_BYTES`, or nested deeper than
  `MAX_DEPTH`, is read as no headers at all. The time grows with the size, not with its square.
- Every decoded value can be encoded again for a copy, in at most four times the bytes.
- Values that the library itself refuses (an unknown delivery mode, an expiration that is not a
  number) are decoded as the default.

The library offers no hook for this, so we replace its decoders before the first connection is
opened. Wire format: AMQP 0-9-1, section 4.2.5, with the tags that RabbitMQ uses.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pamqp import commands, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pamqp.common import FieldTable, FieldValue

    _Read = tuple[int, FieldValue]
    """Where the next value begins, and the value."""

MAX_TABLE_BYTES: Final = 16 * 1024
"""Longest header table that is read."""
MAX_DEPTH: Final = 16
"""Deepest nesting of tables and arrays that is read."""
MAX_COPIED_BYTES: Final = 8 * 1024
"""Most bytes of a publisher's headers on a copy. Together with ours and the broker's headers, the
copy can still be read."""
NO_TIME: Final = datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC)
"""Stands for a time that no calendar holds, and for every later one: the library writes seconds and
reads a larger number as milliseconds, so a copy would name a time in 1970 or 1978."""
_SUBSTITUTE: Final = "\x1a"
"""Stands for a byte that is not text. It is not printable, so an id with it is not valid."""
_MAX_KEY_BYTES: Final = 128
_TRANSIENT: Final = 1
_DELIVERY_MODES: Final = (_TRANSIENT, 2)


def install() -> None:
    """Replace the library's decoders. Idempotent."""
    decode.METHODS.update(timestamp=_timestamp, shortstr=_short_string, table=_table)
    commands.Basic.Properties.unmarshal = _properties  # type: ignore[assignment,method-assign]


def portable(headers: Mapping[str, object]) -> FieldTable:
    """Return headers that can be encoded; a value that cannot becomes its description."""
    return {_key(name): _encodable(value) for name, value in headers.items()}


def for_copy(headers: Mapping[str, object]) -> FieldTable:
    """Return the publisher's headers for a copy: all of them, or none if they are too long."""
    kept = portable(headers)
    return kept if len(encode.field_table(kept)) <= MAX_COPIED_BYTES else {}


def _key(name: str) -> str:
    """Cut a name to the length that the library encodes; else the library would log the cut."""
    if len(name) * 4 <= _MAX_KEY_BYTES:
        return name
    return name.encode()[:_MAX_KEY_BYTES].decode(errors="ignore")


def _encodable(value: object) -> FieldValue:
    if isinstance(value, bytes):  # text of another encoding: its bytes are kept as a byte array
        return bytearray(value)
    if isinstance(value, dict):
        return portable(value)
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    try:
        encode.encode_table_value(value)  # type: ignore[arg-type] # this call checks the type
    except (TypeError, ValueError, ArithmeticError, struct.error):
        return repr(value)
    return value  # type: ignore[return-value] # checked above


# --- properties ----------------------------------------------------------------------------------


def _properties(self: commands.Basic.Properties, flags: int, data: bytes) -> None:
    _STRICT_PROPERTIES(self, flags, data)
    if self.delivery_mode is not None and self.delivery_mode not in _DELIVERY_MODES:
        self.delivery_mode = _TRANSIENT
    if self.expiration is not None and not _is_number(self.expiration):
        self.expiration = None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _timestamp(value: bytes) -> tuple[int, datetime]:
    try:
        size, time = _STRICT_TIMESTAMP(value)
    except (ValueError, OverflowError, OSError):
        return 8, NO_TIME
    return size, min(time, NO_TIME)


def _short_string(value: bytes) -> tuple[int, str]:
    end = 1 + int.from_bytes(value[:1], "big")
    return end, _text(value[1:end])


def _text(octets: bytes) -> str:
    """Decode UTF-8, else one character for each byte, so that it fits into a short string again."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("ascii", "replace").replace("\ufffd", _SUBSTITUTE)


# --- header tables -------------------------------------------------------------------------------


def _table(value: bytes) -> tuple[int, FieldTable]:
    end = 4 + int.from_bytes(value[:4], "big")
    if end > MAX_TABLE_BYTES:
        return end, {}
    try:
        return end, _Table(value[:end]).read(0, 0)[1]
    except (KeyError, IndexError, ValueError, struct.error):
        return end, {}


class _Table:
    """Reads one table from its bytes, value by value, without copying the rest.

    Its methods raise KeyError (an unknown tag), IndexError, ValueError and struct.error.
    """

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def read(self, offset: int, depth: int) -> tuple[int, FieldTable]:
        """Read the table that begins with its length; return the offset after it too."""
        offset, end = self._span(offset, depth)
        table: FieldTable = {}
        while offset < end:
            begins = offset + 1
            offset = begins + self._octets[offset]
            name = _text(self._octets[begins:offset])
            offset, table[name] = self._value(offset, depth)
        return _closed(offset, end), table

    def _array(self, offset: int, depth: int) -> tuple[int, list[FieldValue]]:
        offset, end = self._span(offset, depth)
        values: list[FieldValue] = []
        while offset < end:
            offset, value = self._value(offset, depth)
            values.append(value)
        return _closed(offset, end), values

    def _span(self, offset: int, depth: int) -> tuple[int, int]:
        """Return where the content of a table or array begins and ends."""
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        begins = offset + 4
        end = begins + int.from_bytes(self._octets[offset:begins], "big")
        if begins > len(self._octets) or end > len(self._octets):
            raise ValueError("longer than what holds it")
        return begins, end

    def _value(self, offset: int, depth: int) -> _Read:
        tag, offset = self._octets[offset : offset + 1], offset + 1
        if (form := _FIXED.get(tag)) is not None:
            return offset + form.size, form.unpack_from(self._octets, offset)[0]
        match tag:
            case b"F":
                return self.read(offset, depth + 1)
            case b"A":
                return self._array(offset, depth + 1)
            case b"V" | b"\x00":
                return offset, None
        return self._variable(tag, offset)

    def _variable(self, tag: bytes, offset: int) -> _Read:
        if tag == b"T":
            return offset + 8, _timestamp(self._exactly(offset, 8))[1]
        if tag == b"D":
            places, amount = struct.unpack(">Bi", self._exactly(offset, 5))
            return offset + 5, Decimal(amount).scaleb(-places)
        begins, end = self._span(offset, 0)
        return end, _STRINGS[tag](self._octets[begins:end])

    def _exactly(self, offset: int, size: int) -> bytes:
        octets = self._octets[offset : offset + size]
        if len(octets) < size:
            raise ValueError("cut off")
        return octets


def _closed(offset: int, end: int) -> int:
    if offset != end:
        raise ValueError("a value goes beyond the end of what holds it")
    return offset


def _long_string(octets: bytes) -> str | bytearray:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return bytearray(octets)


_STRINGS: Final[Mapping[bytes, Callable[[bytes], FieldValue]]] = {
    b"S": _long_string,
    b"x": bytearray,
}
_FIXED: Final[Mapping[bytes, struct.Struct]] = {
    tag: struct.Struct(f">{form}")
    for tag, form in {
        b"t": "?", b"b": "b", b"B": "B", b"s": "h", b"u": "H", b"I": "i", b"i": "I",
        b"l": "q", b"L": "q", b"f": "f", b"d": "d",
    }.items()
}  # fmt: skip
_STRICT_TIMESTAMP: Final = decode.timestamp
_STRICT_PROPERTIES: Final[Any] = commands.Basic.Properties.unmarshal
