"""Where the body of an HTTP answer ends, so that what follows is never taken for a part of it.

Rules:
- The body itself is not changed and not read: the HTTP library does that. Only its end is found.
- What is not clear has no end here: everything is passed on, and the library judges it.
- Linear in what came, however it was cut into pieces.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from worker.providers.http_head import Head

_NO_BODY: Final = frozenset({101, 204, 304})
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}(?![0-9A-Za-z])")
_LONGEST_LINE: Final = 64
"""What is kept of a line between chunks; its beginning says all that counts."""
_FOR_EVER: Final = 1 << 62


class Ending(Protocol):
    """Tells where a body ends."""

    def find(self, data: bytes) -> int | None:
        """How many of the bytes that came next belong to the body; None: all, and it goes on."""


class Counted:
    """A body of known length."""

    def __init__(self, length: int) -> None:
        self._left = length

    def find(self, data: bytes) -> int | None:
        """See `Ending`."""
        end, self._left = self._left, max(0, self._left - len(data))
        return end if end <= len(data) else None


class Chunked:
    """A body in chunks: a line with the size of each, and after the last one the trailers."""

    def __init__(self) -> None:
        self._skip = 0
        self._line = b""
        self._in_trailers = False

    def find(self, data: bytes) -> int | None:
        """See `Ending`."""
        at = 0
        while True:
            step = min(self._skip, len(data) - at)
            at, self._skip = at + step, self._skip - step
            ends = data.find(b"\n", at)
            if ends < 0:
                self._line = (self._line + data[at : at + _LONGEST_LINE])[:_LONGEST_LINE]
                return None
            line, self._line = (self._line + data[at : min(ends, at + _LONGEST_LINE)]).strip(), b""
            at = ends + 1
            if self._is_last(line):
                return at

    def _is_last(self, line: bytes) -> bool:
        """Read a line that is no part of a chunk; an empty one also follows each chunk."""
        if not line or self._in_trailers:
            return self._in_trailers and not line
        size = _SIZE.match(line)
        self._skip = int(size[0], 16) if size else _FOR_EVER
        self._in_trailers = self._skip == 0
        return False


class Open:
    """A body that ends with the connection, or nobody knows where."""

    def find(self, data: bytes) -> int | None:  # noqa: ARG002 - see `Ending`
        """See `Ending`."""
        return None


def ending(head: Head) -> Ending:
    """How the end of the body that follows a head is found."""
    if head.status in _NO_BODY:
        return Counted(0)
    if b"transfer-encoding" in head.fields:
        return Chunked()
    length = head.fields.get(b"content-length")
    return Open() if length is None else Counted(int(length[:_LONGEST_LINE]))
