"""Decoding of AMQP properties that lets no publisher end our connection.

Rules:
- Total: what the client library cannot decode would close the connection, and the broker would
  deliver the same message again at once. So what has no meaning is decoded to something that has
  none either, and the message is judged like any other.
- Bounded: a header table of more than `MAX_TABLE_BYTES`, or nested deeper than `MAX_DEPTH`, is read
  as no headers at all. Decoding takes time in proportion to the size, not to its square.
- Whatever was decoded can be encoded again for a copy, in at most four times the bytes.
- What the library itself would refuse (a delivery mode that does not exist, an expiration that is
  no number) is decoded as the default.

The library offers no hook for this, so its decoders are exchanged before the first connection is
made. Wire format: AMQP 0-9-1, section 4.2.5, with the tags that RabbitMQ uses.
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
"""Headers of others that a copy keeps; with ours and the broker's it stays readable."""
NO_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Stands for a time no calendar holds."""
_SUBSTITUTE: Final = "\x1a"
"""Stands for a byte that is no text: not printable, so what holds one is no valid id."""
_MAX_KEY_BYTES: Final = 128
_TRANSIENT: Final = 1
_DELIVERY_MODES: Final = (_TRANSIENT, 2)


def install() -> None:
    """Exchange the decoders. Idempotent."""
    decode.METHODS.update(timestamp=_timestamp, shortstr=_short_string, table=_table)
    commands.Basic.Properties.unmarshal = _properties  # type: ignore[assignment,method-assign]


def portable(headers: Mapping[str, object]) -> FieldTable:
    """Headers that can be encoded; a value that cannot is told in words instead."""
    return {_key(name): _encodable(value) for name, value in headers.items()}


def for_copy(headers: Mapping[str, object]) -> FieldTable:
    """Headers of others as a copy keeps them: all, or none where they are too long."""
    found = portable(headers)
    return found if len(encode.field_table(found)) <= MAX_COPIED_BYTES else {}


def _key(name: str) -> str:
    """A name as long as the library encodes it; it would log what it cuts off itself."""
    if len(name) * 4 <= _MAX_KEY_BYTES:
        return name
    return name.encode()[:_MAX_KEY_BYTES].decode(errors="ignore")


def _encodable(value: object) -> FieldValue:
    if isinstance(value, bytes):  # text of another encoding: keeps its octets as a byte array
        return bytearray(value)
    if isinstance(value, dict):
        return portable(value)
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    try:
        encode.encode_table_value(value)  # type: ignore[arg-type] # whether it fits is the question
    except (TypeError, ValueError, ArithmeticError, struct.error):
        return repr(value)
    return value  # type: ignore[return-value] # it does


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
        return _STRICT_TIMESTAMP(value)
    except (ValueError, OverflowError, OSError):
        return 8, NO_TIME


def _short_string(value: bytes) -> tuple[int, str]:
    end = 1 + int.from_bytes(value[:1], "big")
    return end, _text(value[1:end])


def _text(octets: bytes) -> str:
    """UTF-8; else one character for one octet: it must fit into a short string again."""
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
    """Reads one table from its octets, value by value, without copying what follows.

    Raises of its methods: KeyError (a tag nobody knows), IndexError, ValueError, struct.error.
    """

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def read(self, at: int, depth: int) -> tuple[int, FieldTable]:
        """The table whose length stands at `at`."""
        at, end = self._span(at, depth)
        found: FieldTable = {}
        while at < end:
            begins = at + 1
            at = begins + self._octets[at]
            name = _text(self._octets[begins:at])
            at, found[name] = self._value(at, depth)
        return _closed(at, end), found

    def _array(self, at: int, depth: int) -> tuple[int, list[FieldValue]]:
        at, end = self._span(at, depth)
        found: list[FieldValue] = []
        while at < end:
            at, value = self._value(at, depth)
            found.append(value)
        return _closed(at, end), found

    def _span(self, at: int, depth: int) -> tuple[int, int]:
        """Where the content of a table or array begins and ends."""
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        begins = at + 4
        end = begins + int.from_bytes(self._octets[at:begins], "big")
        if begins > len(self._octets) or end > len(self._octets):
            raise ValueError("longer than what holds it")
        return begins, end

    def _value(self, at: int, depth: int) -> _Read:
        tag, at = self._octets[at : at + 1], at + 1
        if (form := _FIXED.get(tag)) is not None:
            return at + form.size, form.unpack_from(self._octets, at)[0]
        match tag:
            case b"F":
                return self.read(at, depth + 1)
            case b"A":
                return self._array(at, depth + 1)
            case b"V" | b"\x00":
                return at, None
        return self._variable(tag, at)

    def _variable(self, tag: bytes, at: int) -> _Read:
        if tag == b"T":
            return at + 8, _timestamp(self._exactly(at, 8))[1]
        if tag == b"D":
            places, amount = struct.unpack(">Bi", self._exactly(at, 5))
            return at + 5, Decimal(amount).scaleb(-places)
        begins, end = self._span(at, 0)
        return end, _STRINGS[tag](self._octets[begins:end])

    def _exactly(self, at: int, size: int) -> bytes:
        octets = self._octets[at : at + size]
        if len(octets) < size:
            raise ValueError("cut off")
        return octets


def _closed(at: int, end: int) -> int:
    if at != end:
        raise ValueError("a value goes beyond the end of what holds it")
    return at


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
