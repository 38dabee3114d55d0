"""Request lines as providers really write them, made what RFC 9112 allows.

Rules: only the request line is touched, never a header or a body; what is no request line stays as
it is, and is refused by h11. Octets that a target may not hold (blanks, controls, anything that is
no ASCII) are percent-encoded: gateways copy what a network answered into the query, and one odd
field must not cost the whole report. A target in absolute form is its path and query (section
3.2.2): whose address it names is no matter to us.
"""

from __future__ import annotations

import re
from typing import Final

from h11._receivebuffer import ReceiveBuffer

_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_NOT_ALLOWED: Final = re.compile(rb"[^\x21-\x7e]")


class HeadBuffer(ReceiveBuffer):
    """What h11 has received: gives out the lines of each whole head with a plain request line.

    This is the one place where a head is whole, however it arrived, and no body ever comes by.
    """

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """The lines up to the first empty one, once it is there."""
        lines = super().maybe_extract_lines()
        return [bytearray(plain(bytes(lines[0]))), *lines[1:]] if lines else lines


def plain(line: bytes) -> bytes:
    """The request line with a target in origin form, of visible ASCII."""
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
