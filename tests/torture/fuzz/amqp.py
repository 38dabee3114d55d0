"""AMQP header tables and properties as the protocol describes them, read and written by the tests.

Source: AMQP 0-9-1, sections 4.2.5 and 4.2.6.1, with the tags that RabbitMQ uses. Simple on purpose:
the code under test is judged by it. A value keeps its tag, so that every table is written as it was
read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

FIXED: Final = {
    b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"l": 8, b"L": 8, b"f": 4,
    b"d": 8, b"T": 8, b"D": 5, b"V": 0, b"\x00": 0,
}  # fmt: skip
"""Octets of a value by its tag."""
SIZED: Final = (b"S", b"x")
"""Tags of values that begin with their length."""
DEEPEST: Final = 200
"""Levels that this reader reads; more than any bound under test."""


@dataclass(slots=True)
class Value:
    """A value: its tag, and its octets or the values in it."""

    tag: bytes
    octets: bytes = b""
    inner: Sequence[Value] = ()
    names: Sequence[bytes] = ()
    """Names of the inner values, where this is a table."""


def depth(value: Value) -> int:
    """Levels of tables and arrays, this one included."""
    if value.tag not in (b"F", b"A"):
        return 0
    return 1 + max(map(depth, value.inner), default=0)


def sized(content: bytes) -> bytes:
    """Content after its length."""
    return struct.pack(">I", len(content)) + content


def short(octets: bytes) -> bytes:
    """A short string: at most 255 octets."""
    return bytes([len(octets[:255])]) + octets[:255]


def read(content: bytes) -> Value:
    """Read the content of a table, without its length. Raises ValueError."""
    return _Reader(content).table(0, len(content), 0)


def written(value: Value) -> bytes:
    """The content of a table or array, without its length."""
    if value.tag == b"F":
        pairs = zip(value.names, value.inner, strict=True)
        return b"".join(short(name) + _tagged(each) for name, each in pairs)
    return b"".join(map(_tagged, value.inner))


def _tagged(value: Value) -> bytes:
    if value.tag in (b"F", b"A"):
        return value.tag + sized(written(value))
    return value.tag + (sized(value.octets) if value.tag in SIZED else value.octets)


class _Reader:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def table(self, begins: int, ends: int, level: int) -> Value:
        names: list[bytes] = []
        values: list[Value] = []
        while begins < ends:
            place = begins + 1 + self._octets[begins]
            names.append(self._part(begins + 1, place, ends))
            begins, value = self._value(place, ends, level)
            values.append(value)
        return Value(b"F", inner=values, names=names)

    def _array(self, begins: int, ends: int, level: int) -> Value:
        values: list[Value] = []
        while begins < ends:
            begins, value = self._value(begins, ends, level)
            values.append(value)
        return Value(b"A", inner=values)

    def _value(self, begins: int, ends: int, level: int) -> tuple[int, Value]:
        tag = self._part(begins, begins + 1, ends)
        begins += 1
        if tag in FIXED:
            last = begins + FIXED[tag]
            return last, Value(tag, self._part(begins, last, ends))
        if tag not in (b"F", b"A", *SIZED) or level > DEEPEST:
            raise ValueError("unknown tag, or too deep")
        first = begins + 4
        last = first + int.from_bytes(self._part(begins, first, ends), "big")
        content = self._part(first, last, ends)
        if tag in SIZED:
            return last, Value(tag, content)
        inner = self.table if tag == b"F" else self._array
        return last, inner(first, last, level + 1)

    def _part(self, begins: int, ends: int, most: int) -> bytes:
        if ends > most:
            raise ValueError("beyond the end")
        return self._octets[begins:ends]


# --- mutation ------------------------------------------------------------------------------------

_OCTETS: Final = (
    b"", b"\x00", b"\xff", b"caf\xe9", b"\xed\xa0\x80", "é€😀".encode(), b"x" * 300, b"sms-round",
    b"2026-03-01T12:00:00+00:00", b"0001-01-01T00:00:00+23:59", b"delivery_limit", b"expired",
    b"sms.send.transactional", b"sms.retry.5s", b"\xe9" * 4_000, b"\xf0\x9f\x98\x80" * 1_500,
)  # fmt: skip
_NUMBERS: Final = (0, 1, 2, 3, 127, 128, 255, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1)


def mutated(
    generator: random.Random, content: bytes, names: Sequence[bytes], most: int
) -> bytes | None:
    """Change some values of a table whose lengths stay right; None: it is no table.

    Args:
        generator: decides.
        content: of the table, without its length.
        names: names that mean something.
        most: longest table that is made.
    """
    try:
        table = read(content)
    except (ValueError, IndexError):
        return None
    for _ in range(generator.choice((1, 1, 2, 3, 6))):
        _change(generator, table, names)
    return written(table)[:most]


def _change(generator: random.Random, value: Value, names: Sequence[bytes]) -> None:
    """Change one place in a table or array."""
    inner, keys = list(value.inner), list(value.names)
    place = generator.randrange(len(inner) + 1)
    deeper = place < len(inner) and inner[place].tag in (b"F", b"A") and generator.random() < 0.6
    if deeper:
        return _change(generator, inner[place], names)
    copies = generator.choice((1, 1, 1, 1, 2, 60))
    inner[place : place + generator.randrange(2)] = [_any(generator, value, names)] * copies
    if value.tag == b"F":
        keys += [generator.choice(names) for _ in range(len(inner) - len(keys))]
        value.names = keys[: len(inner)]
    value.inner = inner
    return None


def _any(generator: random.Random, around: Value, names: Sequence[bytes]) -> Value:
    """A value of any kind; now and then a nest of some levels around a value that is there."""
    match generator.randrange(8):
        case 0 if around.inner:
            return _nest(generator, generator.choice(around.inner), names)
        case 1 | 2:
            return Value(generator.choice(SIZED), generator.choice(_OCTETS))
        case 3:
            return Value(b"F", inner=[Value(b"V")], names=[generator.choice(names)])
        case 4:
            return Value(b"A", inner=[Value(b"V")] * generator.randrange(4))
    tag = generator.choice(list(FIXED))
    size = FIXED[tag]
    number = generator.choice(_NUMBERS) if generator.random() < 0.7 else generator.getrandbits(64)
    return Value(tag, (number % 256**size).to_bytes(size, "big") if size else b"")


def _nest(generator: random.Random, value: Value, names: Sequence[bytes]) -> Value:
    if depth(value) > 60:
        return value
    for _ in range(generator.choice((1, 2, 14, 15, 16, 17, 40))):
        if generator.random() < 0.5:
            value = Value(b"A", inner=[value])
        else:
            value = Value(b"F", inner=[value], names=[generator.choice(names)])
    return value


# --- properties ----------------------------------------------------------------------------------

PROPERTIES: Final = (
    (15, "content_type"), (14, "content_encoding"), (13, "headers"), (12, "delivery_mode"),
    (11, "priority"), (10, "correlation_id"), (9, "reply_to"), (8, "expiration"),
    (7, "message_id"), (6, "timestamp"), (5, "type"), (4, "user_id"), (3, "app_id"),
    (2, "cluster_id"),
)  # fmt: skip
"""Properties by their bit, in the order in which they are written."""
_OF_SIZE: Final = {"delivery_mode": 1, "priority": 1, "timestamp": 8}


def properties(octets: bytes) -> dict[str, bytes]:
    """Read properties: the octets of each by its name. Raises ValueError."""
    if len(octets) < 2 or octets[1] & 3:
        raise ValueError("no flags, or flags that nobody uses")
    flags, begins = int.from_bytes(octets[:2], "big"), 2
    found: dict[str, bytes] = {}
    for bit, name in PROPERTIES:
        if flags >> bit & 1:
            begins, found[name] = _property(octets, begins, name)
    if begins != len(octets):
        raise ValueError("more than the properties")
    return found


def _property(octets: bytes, begins: int, name: str) -> tuple[int, bytes]:
    if name in _OF_SIZE:
        first, size = begins, _OF_SIZE[name]
    else:
        head = 4 if name == "headers" else 1
        first = begins + head
        size = int.from_bytes(octets[begins:first], "big")
    if first > len(octets) or first + size > len(octets):
        raise ValueError("beyond the end")
    return first + size, octets[first : first + size]


def of_properties(values: dict[str, bytes]) -> bytes:
    """Write properties. Values of the wrong size are cut or filled."""
    flags, parts = 0, []
    for bit, name in PROPERTIES:
        if name in values:
            flags |= 1 << bit
            parts.append(_written_property(name, values[name]))
    return struct.pack(">H", flags) + b"".join(parts)


def _written_property(name: str, octets: bytes) -> bytes:
    if name == "headers":
        return sized(octets)
    size = _OF_SIZE.get(name)
    return short(octets) if size is None else octets[:size].rjust(size, b"\0")
