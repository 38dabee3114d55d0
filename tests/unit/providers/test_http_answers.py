"""Heads and the ends of bodies: total, linear, and the same however they are cut into pieces."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.cost import ratio
from worker.providers import http_body, http_head

HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH = 64 * 1024
SHAPES = {
    "blanks, then a colon": (HEAD + b"Date: x\n", b" ", b":\r\n\r\n"),
    "blanks": (HEAD, b" ", b"\r\n\r\n"),
    "tabs behind a name": (HEAD + b"Date", b"\t", b"x\r\n\r\n"),
    "lines of blanks": (HEAD + b"Date: x\n", b" \n", b" :\r\n\r\n"),
    "lines that go on": (HEAD + b"Date: x\n", b" y\n", b" z:\r\n\r\n"),
    "one field many times": (HEAD, b"Connection: x\r\n", b"\r\n"),
    "one field many times and blanks": (HEAD, b"Date:\n \n", b"\r\n"),
    "names without a value": (HEAD, b"date\n", b"\r\n"),
    "returns": (HEAD, b"\r", b"\r\n\r\n"),
    "control characters": (HEAD + b"Date: ", b"\x00x", b"\r\n\r\n"),
    "commas": (HEAD + b"Content-Length: ", b"1,", b"\r\n\r\n"),
    "blanks in front": (b"", b"\n", HEAD + b"\r\n"),
    "blanks before the status": (b"HTTP/1.1", b" ", b"200\r\n\r\n"),
    "interim answers": (b"", b"HTTP/1.1 100\n\n", HEAD + b"\r\n"),
}


def of_length(shape: str) -> bytes:
    begins, often, ends = SHAPES[shape]
    return begins + often * ((LENGTH - len(begins) - len(ends)) // len(often)) + ends


def read(head: bytes) -> None:
    """Read a complete head."""
    parts = http_head.Collector().add(head)
    assert parts is not None
    http_head.mended(parts[0])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_head_takes_little_longer_than_a_harmless_one_of_its_length(shape: str) -> None:
    harmless = HEAD + b"X-Field: value\r\n" * (LENGTH // 16) + b"\r\n"
    assert ratio(partial(read, of_length(shape)), partial(read, harmless)) < 100


def test_a_head_that_comes_octet_by_octet_is_not_searched_anew_for_each() -> None:
    def add(piece: bytes) -> http_head.Collector:
        collector = http_head.Collector()
        for _ in range(http_head.MAX_HEAD):
            collector.add(piece)
        return collector

    assert add(b"a").hopeless() is not None
    assert ratio(partial(add, b"a"), partial(add, b"")) < 20


@given(
    st.binary(max_size=200) | st.binary(max_size=100).map(lambda rest: b"HTTP/1.1 200 \r\n" + rest)
)
def test_reading_a_head_never_fails(data: bytes) -> None:
    collector = http_head.Collector()
    parts = collector.add(data)
    if parts is None:
        collector.hopeless()
        return
    head = http_head.mended(parts[0])
    http_head.keep_alive_s(head.fields.get(b"keep-alive"))
    http_body.ending(head).find(parts[1])


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_the_same_head_is_found_however_it_is_cut(size: int) -> None:
    data = b"\r\n" + b"HTTP/1.1 100\r\n\r\n" * 2 + b"HTTP/1.1 103 x\n\n" + HEAD + b"\r\nbody"
    collector = http_head.Collector()
    came = b""
    for piece in pieces(data, size):
        came += piece
        if parts := collector.add(piece):
            assert parts[0] == HEAD + b"\r\n"
            assert parts[1] == came.partition(parts[0])[2]
            return
    pytest.fail("no head found")


BODIES = [
    (b"Content-Length: 5", b"12345"),
    (b"Content-Length: 0", b""),
    (b"Transfer-Encoding: chunked", b"5\r\n12\n0\n\r\n0\r\n\r\n"),
    (b"Transfer-Encoding: chunked", b"5;a=b\r\n12345\r\n0A \r\n0123456789\r\n000\r\n\r\n"),
    (b"Transfer-Encoding: chunked", b"1\n0\n0\n\n"),
    (b"Transfer-Encoding: chunked", b"0\r\nX: " + b"y" * 100 + b"\r\nZ: 1\r\n\r\n"),
]


@pytest.mark.parametrize(("line", "body"), BODIES)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_the_end_of_a_body_is_found_however_it_is_cut(line: bytes, body: bytes, size: int) -> None:
    ending = http_body.ending(http_head.mended(HEAD + line + b"\r\n\r\n"))
    belongs = b""
    for piece in pieces(body + b"5\r\njunk\r\n", size):
        end = ending.find(piece)
        belongs += piece[:end]
        if end is not None:
            break
    assert belongs == body


@pytest.mark.parametrize(
    ("line", "body"),
    [
        (b"Server: x", b"anything"),
        (b"Content-Length: 9", b"12345"),
        (b"Content-Length: 5, 6", b"12345junk"),
        (b"Transfer-Encoding: chunked", b"5\r\n12345\r\n0\r\n"),
        (b"Transfer-Encoding: chunked", b"5x\r\n12345\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"fffffffffffffff\r\n12345\r\n0\r\n\r\n"),
    ],
)
def test_a_body_whose_end_is_not_there_goes_on(line: bytes, body: bytes) -> None:
    ending = http_body.ending(http_head.mended(HEAD + line + b"\r\n\r\n"))
    assert ending.find(body) is None


@pytest.mark.parametrize("status", [101, 204, 304])
def test_an_answer_that_has_no_body_ends_with_its_head(status: int) -> None:
    head = http_head.mended(b"HTTP/1.1 %d x\r\nContent-Length: 5\r\n\r\n" % status)
    assert http_body.ending(head).find(b"12345") == 0
