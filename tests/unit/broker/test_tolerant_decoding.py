"""AMQP properties: whatever a publisher sends is decoded, bounded, and can be encoded again."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest
from aiormq.abc import DeliveredMessage
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import decode, encode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker import tolerant_decoding
from worker.broker.tolerant_decoding import (
    MAX_COPIED_BYTES,
    MAX_DEPTH,
    MAX_TABLE_BYTES,
    for_copy,
    portable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FRAME_MAX = 131_072
"""What a broker takes of headers in one frame by default."""


@pytest.fixture(autouse=True)
def installed() -> None:
    tolerant_decoding.install()


def sized(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def entry(value: bytes, name: bytes = b"a") -> bytes:
    return bytes([len(name)]) + name + value


def read(content: bytes) -> dict[str, Any]:
    """A table of that content, decoded, and that no more is consumed than it says."""
    table = sized(content)
    consumed, found = decode.by_type(table + b"rest", "table")
    assert consumed == len(table)
    return found


def nested(levels: int, wrap: Callable[[bytes], bytes]) -> bytes:
    value = b"V"
    for _ in range(levels):
        value = wrap(value)
    return entry(value)


# --- what is right is decoded as ever ----------------------------------------------------------

NAMES = st.text(st.characters(codec="ascii"), min_size=1, max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.binary(max_size=20).map(bytearray)
    | st.floats(width=32, allow_nan=False)
    | st.decimals(-2_000_000, 2_000_000, places=2)
    | st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(  # noqa: DTZ001 - made aware below
        lambda at: at.replace(microsecond=0, tzinfo=UTC)
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(headers=st.dictionaries(NAMES, VALUES, max_size=6))
def test_a_table_is_decoded_to_what_was_encoded(headers: dict[str, Any]) -> None:
    table = encode.field_table(headers)
    assert decode.by_type(table, "table") == (len(table), headers)


def test_a_short_string_and_a_timestamp_are_decoded_as_ever() -> None:
    tolerant_decoding.install()  # a second time changes nothing
    assert decode.by_type(b"\x03\xc3\xa9a", "shortstr") == (4, "éa")
    at = datetime(1970, 1, 1, tzinfo=UTC)
    assert decode.by_type(struct.pack(">Q", 0), "timestamp") == (8, at)


# --- what has no meaning ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        entry(b"?\x01"),
        entry(b"I\x00\x00"),
        entry(b"S\x00\x00\xff\xff"),
        entry(b"F\x00\x00\x00\x09abc"),
        entry(b"A\x00\x00\x00\x02I\x00"),
        entry(b"T\x00"),
        entry(b"D\x00\x00"),
        entry(b""),
        b"\xff",
        b"\x05ab",
    ],
)
def test_a_table_that_is_no_table_counts_as_empty(content: bytes) -> None:
    assert read(content) == {}


def test_a_time_in_a_table_may_be_any_number() -> None:
    assert read(entry(b"T" + b"\xff" * 8)) == {"a": tolerant_decoding.NO_TIME}


@pytest.mark.parametrize("seconds", [2**32, 253_370_764_800, 2**63, 4_294_967_297_000, 2**64 - 1])
def test_a_time_that_cannot_be_written_back_is_the_same_in_a_copy_of_a_copy(seconds: int) -> None:
    first = read(entry(b"T" + struct.pack(">Q", seconds)))
    copied = decode.by_type(encode.field_table(portable(first)), "table")[1]
    again = decode.by_type(encode.field_table(portable(copied)), "table")[1]
    assert copied == again
    assert abs(copied["a"] - first["a"]).total_seconds() < 1


def test_what_is_no_text_keeps_its_octets_in_a_table() -> None:
    array = b"A" + sized(b"S" + sized(b"caf\xe9"))
    assert read(entry(array)) == {"a": [bytearray(b"caf\xe9")]}


def test_a_name_that_is_no_text_stands_for_no_name_of_ours() -> None:
    assert read(entry(b"V", b"sms-round\xff")) == {"sms-round\x1a": None}


def test_an_id_that_is_no_text_is_none_that_is_valid() -> None:
    assert decode.by_type(b"\x04m-\xff1rest", "shortstr") == (5, "m-\x1a1")


# --- bounds ----------------------------------------------------------------------------------


def test_a_table_of_the_longest_size_is_read_and_one_byte_more_is_not() -> None:
    room = MAX_TABLE_BYTES - 4 - len(entry(b"S" + sized(b"")))
    assert len(read(entry(b"S" + sized(b"x" * room)))["a"]) == room
    assert read(entry(b"S" + sized(b"x" * (room + 1)))) == {}


@pytest.mark.parametrize(
    "wrap",
    [lambda inner: b"A" + sized(inner), lambda inner: b"F" + sized(entry(inner))],
    ids=["arrays", "tables"],
)
def test_a_table_nested_too_deep_counts_as_empty(wrap: Callable[[bytes], bytes]) -> None:
    assert read(nested(MAX_DEPTH, wrap)) != {}
    for levels in (MAX_DEPTH + 1, 340, 1_500):
        assert read(nested(levels, wrap)) == {}


@given(octets=st.binary(max_size=300))
@example(octets=b"\x00\x00\x00\x03" + b"\x01aV")
def test_any_octets_are_a_table_that_can_be_encoded_again(octets: bytes) -> None:
    _, found = decode.by_type(sized(octets), "table")
    again = encode.field_table(portable(found))
    assert decode.by_type(again, "table")[0] == len(again)


FILLINGS = {
    "octets in an array": b"S" + sized(b"\xff" * 50),
    "numbers": b"d" + struct.pack(">d", 1e300),
    "empty values": b"V",
    "empty tables": b"F\x00\x00\x00\x00",
    "decimals": b"D\xff\x7f\xff\xff\xff",
    "times": b"T" + b"\xff" * 8,
}


@pytest.mark.parametrize("filling", FILLINGS.values(), ids=FILLINGS.keys())
def test_a_full_table_of_anything_fits_into_a_frame_with_our_headers(filling: bytes) -> None:
    count = (MAX_TABLE_BYTES - 20) // len(filling)
    found = read(entry(b"A" + sized(filling * count)))
    assert len(found["a"]) == count
    assert len(encode.field_table(portable(found))) < FRAME_MAX // 2


# --- copies ----------------------------------------------------------------------------------


def test_a_copy_keeps_short_headers_of_others_and_none_that_are_long() -> None:
    short = {"theirs": "x" * (MAX_COPIED_BYTES - 100)}
    assert for_copy(short) == short
    assert for_copy({"theirs": "x" * MAX_COPIED_BYTES, "other": 1}) == {}


@pytest.mark.parametrize(
    "value",
    [1e300, float("nan"), 2**70, b"\xff", [b"\xff", {"a": b"\xff"}], {"deep": [2**70]}, object(),
     Decimal("1e99"), Decimal("NaN"), datetime(1, 1, 1, tzinfo=UTC)],
)  # fmt: skip
def test_whatever_a_header_holds_it_can_be_encoded(value: object) -> None:
    assert encode.field_table(portable({"odd": value}))


def test_a_name_is_cut_where_the_library_would_cut_and_log_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = portable({"é" * 100: 1, "short": 2})
    encode.field_table(found)
    assert found == {"é" * 64: 1, "short": 2}
    assert caplog.records == []


# --- properties ------------------------------------------------------------------------------


def header(**properties: Any) -> ContentHeader:
    """Properties as they come from the wire, whatever they hold."""
    strict = Basic.Properties(headers={"a": 1}, message_id="m-1", delivery_mode=2)
    for name, value in properties.items():
        setattr(strict, name, value)
    found = ContentHeader()
    found.unmarshal(ContentHeader(properties=strict, body_size=1).marshal())
    return found


def message(found: ContentHeader) -> aio_pika.IncomingMessage:
    delivered = DeliveredMessage(
        delivery=Basic.Deliver(consumer_tag="tag", delivery_tag=1, exchange="e", routing_key="k"),
        header=found,
        body=b"x",
        channel=None,  # never settled
    )
    return aio_pika.IncomingMessage(delivered, no_ack=True)


@pytest.mark.parametrize(("mode", "read_as"), [(0, 1), (1, 1), (2, 2), (3, 1), (255, 1)])
def test_a_delivery_mode_that_does_not_exist_is_read_as_one(mode: int, read_as: int) -> None:
    assert message(header(delivery_mode=mode)).delivery_mode == read_as


@pytest.mark.parametrize(
    ("expiration", "seconds"),
    [("60000", 60), ("", None), ("soon", None), ("-1", None), ("1e3", None), ("nan", None)],
)
def test_an_expiration_that_is_no_number_is_none(expiration: str, seconds: int | None) -> None:
    assert message(header(expiration=expiration)).expiration == seconds


@given(
    mode=st.integers(0, 255),
    priority=st.integers(0, 255),
    texts=st.dictionaries(
        st.sampled_from(
            ["expiration", "message_id", "correlation_id", "reply_to", "message_type", "user_id",
             "app_id", "content_type", "content_encoding"]
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    ),
)  # fmt: skip
def test_whatever_the_properties_hold_a_message_is_made(
    mode: int, priority: int, texts: dict[str, str]
) -> None:
    made = message(header(delivery_mode=mode, priority=priority, **texts))
    assert made.headers == {"a": 1}
