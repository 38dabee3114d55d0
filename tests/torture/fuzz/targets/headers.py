"""Header tables of any publisher, as octets, through the decoder that we put into the library."""

from __future__ import annotations

import functools
import math
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pamqp import decode, encode

from tests.support import hostile
from tests.torture.fuzz import amqp
from tests.torture.fuzz.target import Target, must
from worker.broker import tolerant_decoding
from worker.broker.tolerant_decoding import (
    MAX_COPIED_BYTES,
    MAX_DEPTH,
    MAX_TABLE_BYTES,
    NO_TIME,
    for_copy,
    portable,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

NAMES: Final = (
    b"sms-round", b"sms-errors", b"sms-first-at", b"sms-nameless", b"sms-seal", b"sms-report-tries",
    b"sms-reason", b"x-death", b"x-first-death-queue", b"x-last-death-queue", b"x-delivery-count",
    b"traceparent", b"CC", b"BCC", b"queue", b"reason", b"count", b"plain", b"", b"\xff\xfe",
    b"n" * 200, "é".encode() * 70,
)  # fmt: skip
_FORMS: Final = {
    b"t": ">?", b"b": ">b", b"B": ">B", b"s": ">h", b"u": ">H", b"I": ">i", b"i": ">I", b"l": ">q",
    b"L": ">q", b"f": ">f", b"d": ">d",
}  # fmt: skip


def check(content: bytes) -> str:
    """Decode a table with this content, and judge what came of it."""
    tolerant_decoding.install()
    table = amqp.sized(content)
    consumed, decoded = decode.by_type(table + b"rest", "table")
    must(consumed == len(table), "a table takes what it says", (consumed, len(table)))
    expected = _expected(content)
    must(_same(decoded, expected), "a table means what the protocol says", (decoded, expected))
    again = _encoded(decoded, len(content))
    _is_stable(again)
    copied = encode.field_table(for_copy(decoded))
    must(len(copied) <= MAX_COPIED_BYTES, "a copy bears a bounded part of foreign headers")
    return f"{'refused' if content and not decoded else 'read'}: {_shape(content)}"


def _expected(content: bytes) -> dict[str, Any]:
    """What the table means by the protocol and by our bounds."""
    if len(content) + 4 > MAX_TABLE_BYTES:
        return {}
    try:
        table = amqp.read(content)
    except (ValueError, IndexError):
        return {}
    return {} if amqp.depth(table) > MAX_DEPTH + 1 else _meant(table)


def _meant(value: amqp.Value) -> Any:
    if value.tag == b"F":
        named = zip(value.names, value.inner, strict=True)
        return {_text(name, "\x1a"): _meant(each) for name, each in named}
    if value.tag == b"A":
        return list(map(_meant, value.inner))
    read = _READ.get(value.tag)
    return struct.unpack(_FORMS[value.tag], value.octets)[0] if read is None else read(value.octets)


def _text(octets: bytes, substitute: str | None) -> Any:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        if substitute is None:
            return None
        return "".join(chr(octet) if octet < 128 else substitute for octet in octets)


def _time(seconds: int) -> datetime:
    """Seconds since 1970; milliseconds where they are too many, as the library reads them."""
    try:
        time = datetime.fromtimestamp(seconds / 1000 if seconds > 0xFFFFFFFF else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return NO_TIME
    return min(time, NO_TIME)


def _long(octets: bytes) -> Any:
    text = _text(octets, None)
    return bytearray(octets) if text is None else text


def _decimal(octets: bytes) -> Decimal:
    places, amount = struct.unpack(">Bi", octets)
    return Decimal(amount).scaleb(-places)


_READ: Final[dict[bytes, Callable[[bytes], Any]]] = {
    b"S": _long,
    b"x": bytearray,
    b"T": lambda octets: _time(int.from_bytes(octets, "big")),
    b"D": _decimal,
    b"V": lambda _: None,
    b"\x00": lambda _: None,
}


def _same(one: Any, other: Any) -> bool:
    """Equality in which a number that is none equals itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


def _encoded(headers: dict[str, Any], length: int) -> bytes:
    """Encode decoded headers again, as a copy does."""
    octets = encode.field_table(portable(headers))
    must(len(octets) <= 4 * length + 4, "a decoded table grows fourfold at most", len(octets))
    return octets


def _is_stable(table: bytes) -> None:
    """What was encoded once does not change any more, however often it is copied."""
    _, once = decode.by_type(table, "table")
    again = encode.field_table(portable(once))
    if len(table) <= MAX_TABLE_BYTES:
        _, twice = decode.by_type(again, "table")
        must(_same(twice, once), "a copy of a copy bears the same headers", (once, twice))


def _shape(content: bytes) -> str:
    """How many kinds of values are there, and how deep."""
    try:
        table = amqp.read(content)
    except (ValueError, IndexError):
        return "no table"
    kinds = len({each.tag for each in table.inner})
    return f"{kinds} kinds of {min(amqp.depth(table), MAX_DEPTH + 2)} levels"


@functools.cache
def seeds() -> Sequence[bytes]:
    """Small hostile tables, those that once stopped a worker, and one as a broker writes it."""
    death = amqp.Value(
        b"F",
        inner=[amqp.Value(b"S", b"sms.send.bulk"), amqp.Value(b"S", b"expired")],
        names=[b"queue", b"reason"],
    )
    died = amqp.Value(b"F", inner=[amqp.Value(b"A", inner=[death] * 2)], names=[b"x-death"])
    bombs = [each[:MAX_TABLE_BYTES] for each in hostile.generated(hostile.BOMBS, 20)]
    return [amqp.written(died), b"", *hostile.generated(hostile.SMALL, 60), *bombs]


def mutated(generator: random.Random, content: bytes) -> bytes | None:
    """Another table whose lengths are right."""
    return amqp.mutated(generator, content, NAMES, 20_000)


TARGET: Final = Target(
    name="headers",
    takes="content of an AMQP header table",
    holds="means what the protocol says, or no headers at all; can be encoded again and stays the "
    "same from then on; bounded in depth, length and time",
    check=check,
    seeds=seeds,
    share=90,
    mutators=(mutated,),
    words=tuple(amqp.short(name) + b"V" for name in NAMES),
    longest=40_000,
)
