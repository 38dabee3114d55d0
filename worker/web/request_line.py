"""Corrects the request lines of providers, so that they are valid by RFC 9112.

Rules:
- Only the request line is changed, never a header or a body. A line that is no request line stays
  as it is, and h11 refuses it.
- Octets that are not allowed in a target (blanks, controls, non-ASCII) are percent-encoded.
  Gateways copy answers of a network into the query, and one odd field must not lose the report.
- Of a target in absolute form (section 3.2.2) only path and query are used; its host is ignored.
"""

from __future__ import annotations

import re
from typing import Final

from h11._receivebuffer import ReceiveBuffer

_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_NOT_ALLOWED: Final = re.compile(rb"[^\x21-\x7e]")


class HeadBuffer(ReceiveBuffer):
    """The receive buffer of h11, which returns each complete head with a corrected request line.

    This is the one place where a head is complete, however it arrived, and which no body passes.
    """

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """The lines of the head, once its last line has come."""
        lines = super().maybe_extract_lines()
        return [bytearray(plain(bytes(lines[0]))), *lines[1:]] if lines else lines


def plain(line: bytes) -> bytes:
    """The request line with its target in origin form and in visible ASCII."""
    method, _, rest = line.strip(b" \t").partition(b" ")
    target, _, version = rest.rpartition(b" ")
    target = target.strip(b" \t")
    if not target or not _VERSION.fullmatch(version) or b":" in method:  # a trailer has a colon
        return line
    absolute = _ABSOLUTE.match(target)
    if absolute:
        target = b"/" + target[absolute.end() :].removeprefix(b"/")
    encoded = _NOT_ALLOWED.sub(lambda octet: b"%%%02X" % octet[0][0], target)
    return b" ".join((method, encoded, version))
