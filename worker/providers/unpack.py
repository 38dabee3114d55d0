"""Compressed answers: some gateways compress although nobody asked for it.

Rules: what was unpacked is never longer than the limit, so a small answer cannot fill the memory.
What cannot be unpacked stays as it is: whoever reads it finds nothing in it. Whoever says gzip and
sends plain text, or sends gzip or zlib and says nothing or the other, is read as well.
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
    """What was unpacked is longer than the limit."""


def unpack(body: bytes, codings: str, limit: int) -> bytes:
    """The body as it was before it was compressed.

    Args:
        body: as sent.
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
    """Every member of a gzip file; what follows the last one is dropped."""
    found, rest = b"", body
    for _ in range(_MOST_MEMBERS):
        if not rest.startswith(_GZIP_BEGINS):
            break
        packer = zlib.decompressobj(_GZIP)
        found += _more(packer, rest, limit - len(found))
        rest = packer.unused_data
    if not found and body.startswith(_ZLIB_BEGINS):
        return _complete(_ZLIB, body, limit) or body
    return found or body


def _inflated(body: bytes, limit: int) -> bytes:
    """`deflate` means the zlib format; many send the bare one."""
    found = _more(zlib.decompressobj(_ZLIB), body, limit)
    return found or _complete(_BARE, body, limit) or body


def _complete(kind: int, body: bytes, limit: int) -> bytes:
    """What this holds, if its end is there; plain text that begins alike has none."""
    packer = zlib.decompressobj(kind)
    found = _more(packer, body, limit)
    return found if packer.eof else b""


def _more(packer: zlib._Decompress, packed: bytes, limit: int) -> bytes:
    """What this holds; nothing where it cannot be unpacked."""
    try:
        found = packer.decompress(packed, limit + 1)
    except zlib.error:
        return b""
    if len(found) > limit:
        raise TooLongError
    return found
