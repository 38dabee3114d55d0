"""Reads the body of a request, with bounds while it is read and decompressed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from worker.web.malformed import MalformedError

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BODY_BYTES: Final = 128 * 1024
"""Largest body that is read: a hundred reports of the gateways with the longest ones."""
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_BARE: Final = -zlib.MAX_WBITS


class TooLargeError(Exception):
    """The body, or its announced length, is larger than we read."""


class UnknownCodingError(MalformedError):
    """The body is compressed in an unknown way."""


async def read(request: Request) -> bytes:
    """Read the whole body and decompress it.

    Raises:
        TooLargeError: it has more than `MAX_BODY_BYTES`; reading stops there.
        UnknownCodingError: it is neither plain nor gzip nor deflate.
        MalformedError: it cannot be decompressed.
    """
    codings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    named = [name for coding in codings if (name := coding.strip()) not in {"", "identity"}]
    if any(name not in {"gzip", "x-gzip", "deflate"} for name in named) or len(named) > 1:
        raise UnknownCodingError("expected a plain body, or one in gzip or deflate")
    body = await _bounded(request)
    return _inflated(body) if named and body else body


async def _bounded(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0").lstrip("0")
    if announced.isdecimal() and int(announced[:9]) > MAX_BODY_BYTES:
        raise TooLargeError
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError
    return bytes(body)


def _inflated(body: bytes) -> bytes:
    for form in (_GZIP_OR_ZLIB, _BARE):  # "deflate" without zlib's header is common
        inflater = zlib.decompressobj(form)
        try:
            plain = inflater.decompress(body, MAX_BODY_BYTES + 1)
        except zlib.error:
            continue
        if len(plain) > MAX_BODY_BYTES:
            raise TooLargeError
        if inflater.eof and not inflater.unused_data:
            return plain
    raise MalformedError("expected one complete body in gzip or deflate")
