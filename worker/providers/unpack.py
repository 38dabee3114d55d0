"""Unpacks compressed answers, because some gateways compress without being asked.

Rules: the result is never longer than the limit, so a small answer cannot fill the memory. A body
that cannot be unpacked stays as it is, and the reader finds nothing in it. Wrong declarations are
accepted: plain text declared as gzip, or gzip or zlib that is declared as the other or not at all.
"""

from __future__ import annotations

import zlib
from typing import Final

_GZIP_BEGINS: Final = b"\x1f\x8b"
_ZLIB_BEGINS: Final = b"\x78"
_MOST_CODINGS: Final = 3
_MOST_MEMBERS: Final = 16
_ZLIB: Final = zlib.MAX_WBITS
_GZIP: Final = 16 + zlib.MAX_WBITS
_BARE: Final = -zlib.MAX_WBITS


class TooLongError(ValueError):
    """The unpacked body is longer than the limit."""


def unpack(body: bytes, codings: str, limit: int) -> bytes:
    """Return the body before its compression.

    Args:
        body: the body as sent.
        codings: the value of `Content-Encoding`.
        limit: longest result, bytes.

    Raises:
        TooLongError: the result would be longer than the limit.
    """
    for coding in reversed(codings.lower().split(",")[-_MOST_CODINGS:]):
        if coding.strip() == "deflate" and not body.startswith(_GZIP_BEGINS):
            body = _inflated(body, limit)
        else:
            body = _gunzipped(body, limit)
    return body


def _gunzipped(body: bytes, limit: int) -> bytes:
    """Unpack all members of a gzip file. Bytes after the last one are dropped."""
    unpacked, rest = b"", body
    for _ in range(_MOST_MEMBERS):
        if not rest.startswith(_GZIP_BEGINS):
            break
        packer = zlib.decompressobj(_GZIP)
        unpacked += _more(packer, rest, limit - len(unpacked))
        rest = packer.unused_data
    if not unpacked and body.startswith(_ZLIB_BEGINS):
        return _complete(_ZLIB, body, limit) or body
    return unpacked or body


def _inflated(body: bytes, limit: int) -> bytes:
    """Unpack `deflate`. It means the zlib format, but many send it without zlib's header."""
    unpacked = _more(zlib.decompressobj(_ZLIB), body, limit)
    return unpacked or _complete(_BARE, body, limit) or body


def _complete(kind: int, body: bytes, limit: int) -> bytes:
    """Unpack a body if its end is there. Plain text with the same beginning has no such end."""
    packer = zlib.decompressobj(kind)
    unpacked = _more(packer, body, limit)
    return unpacked if packer.eof else b""


def _more(packer: zlib._Decompress, packed: bytes, limit: int) -> bytes:
    """Unpack a body; empty if it cannot be unpacked."""
    try:
        unpacked = packer.decompress(packed, limit + 1)
    except zlib.error:
        return b""
    if len(unpacked) > limit:
        raise TooLongError
    return unpacked
