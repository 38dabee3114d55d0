"""Finds the end of the body of an HTTP answer, so that later bytes are never taken as a part of it.

Rules:
- Only the end is found. The HTTP library reads the body, which is not changed here.
- If the end is not clear, all bytes are passed on, and the library decides.
- The work is linear in the number of bytes, however they are cut into pieces.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from worker.providers.http_head import Head

_NO_BODY: Final = frozenset({101, 204, 304})
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}(?![0-9A-Za-z])")
_LONGEST_LINE: Final = 64
"""Longest part of a line between chunks that is kept; only the beginning matters."""
_FOR_EVER: Final = 1 << 62


class Ending(Protocol):
    """Finds the end of a body."""

    def find(self, data: bytes) -> int | None:
        """How many of the next bytes belong to the body; None: all, and the body goes on."""


class Counted:
    """A body of known length."""

    def __init__(self, length: int) -> None:
        self._left = length

    def find(self, data: bytes) -> int | None:
        """See `Ending`."""
        end, self._left = self._left, max(0, self._left - len(data))
        return end if end <= len(data) else None


class Chunked:
    """A body in chunks: each after a line with its size, and trailers after the last one."""

    def __init__(self) -> None:
        self._skip = 0
        self._line = b""
        self._in_trailers = False

    def find(self, data: bytes) -> int | None:
        """See `Ending`."""
        position = 0
        while True:
            step = min(self._skip, len(data) - position)
            position, self._skip = position + step, self._skip - step
            ends = data.find(b"\n", position)
            if ends < 0:
                self._line = (self._line + data[position : position + _LONGEST_LINE])[
                    :_LONGEST_LINE
                ]
                return None
            line, self._line = (
                (self._line + data[position : min(ends, position + _LONGEST_LINE)]).strip(),
                b"",
            )
            position = ends + 1
            if self._is_last(line):
                return position

    def _is_last(self, line: bytes) -> bool:
        """Read a line between chunks. An empty line also follows each chunk."""
        if not line or self._in_trailers:
            return self._in_trailers and not line
        size = _SIZE.match(line)
        self._skip = int(size[0], 16) if size else _FOR_EVER
        self._in_trailers = self._skip == 0
        return False


class Open:
    """A body that ends with the connection, or whose end is not known."""

    def find(self, data: bytes) -> int | None:  # noqa: ARG002 - see `Ending`
        """See `Ending`."""
        return None


def ending(head: Head) -> Ending:
    """Choose how to find the end of the body after a head."""
    if head.status in _NO_BODY:
        return Counted(0)
    if b"transfer-encoding" in head.fields:
        return Chunked()
    length = head.fields.get(b"content-length")
    return Open() if length is None else Counted(int(length[:_LONGEST_LINE]))
