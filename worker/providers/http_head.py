"""Reads the head of an HTTP answer as tolerantly as is safe.

An accepted SMS must not become `Unknown` because a gateway writes odd heads. So we read the head
ourselves and pass a clean one to the HTTP library.

Rules:
- Only the fields that we use are kept (`KEPT`), so that no other field can do harm.
- The end of the body is never guessed. Lengths that differ, or are no numbers, are passed on as
  they came, and the library refuses the answer.
- A head that does not begin like HTTP, or is longer than `MAX_HEAD`, is passed on as it came.
- Interim answers (1xx) are dropped, because the answer follows them.
- The work is linear in the number of bytes, whatever they are and however they are cut. Patterns do
  not backtrack, and no byte is read again for each later one.
- Nothing here repeats a request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

MAX_HEAD: Final = 32 * 1024
"""Longest head that is read, bytes."""
KEPT: Final = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"date",
        b"keep-alive",
        b"retry-after",
        b"transfer-encoding",
    }
)

_END: Final = re.compile(rb"\n\r?\n")
_FIELD: Final = re.compile(
    rb"^[ \t]*+(" + b"|".join(sorted(KEPT)) + rb")[ \t]*+:([^\n]*+(?:\n[ \t]++[^\n:]*+(?=\n))*+)",
    re.IGNORECASE | re.MULTILINE,
)
"""A field we use. Lines that begin with a blank and name no field continue its value."""
_STATUS: Final = re.compile(rb"\s*+HTTP/(\d)(?:\.(\d+))?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
_BEGINNING: Final = b"HTTP/"
_SPACE: Final = re.compile(rb"\s*+")
_ONE: Final = frozenset({b"content-type", b"date", b"retry-after"})
"""Fields of which only the first counts."""
_NO_CODING: Final = frozenset({b"", b"identity"})
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]+")
_SEPARATED: Final = re.compile(rb"[\s,]+")
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)

Fields = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Head:
    """A complete head."""

    raw: bytes
    """The head in strict form, or as it came if that would need a guess."""
    status: int | None = None
    """The status; None: the head is passed on as it came."""
    fields: Fields = field(default_factory=dict)
    """The fields we use, with names in lower case, as in `raw`."""


class Collector:
    """Collects bytes until the head of the answer is complete."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0
        """The search for an empty line continues from this place."""

    def add(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The head with its empty line, and the bytes after it; None: it is not complete."""
        self._data += data if self._data else data.lstrip()
        begins = 0
        while match := _END.search(self._data, max(begins, self._searched)):
            head = bytes(self._data[begins : match.end()])
            if not is_interim(head):
                return head, bytes(self._data[match.end() :])
            begins = _after_space(self._data, match.end())
        del self._data[:begins]
        self._searched = max(0, len(self._data) - 2)
        return None

    def hopeless(self) -> bytes | None:
        """All received bytes, if they can never become a readable head."""
        could_be = _BEGINNING.startswith(self._data[:5].upper())
        return None if could_be and len(self._data) <= MAX_HEAD else bytes(self._data)


def _after_space(data: bytearray, begins: int) -> int:
    match = _SPACE.match(data, begins)
    return match.end() if match else begins


def is_interim(head: bytes) -> bool:
    """Whether another head follows (1xx, except a change of protocol)."""
    match = _STATUS.match(head)
    return match is not None and match[3].startswith(b"1") and match[3] != b"101"


def mended(head: bytes) -> Head:
    """Write the head in strict form, or as it came if that would need a guess."""
    status = _STATUS.match(head)
    if status is None:
        return Head(head)
    kept = fields(head)
    if not _is_framed(kept):
        return Head(head)
    version = b"1.0" if status[1] == b"0" or (status[1], status[2]) == (b"1", b"0") else b"1.1"
    lines = [b"HTTP/%b %b OK" % (version, status[3])]
    raw = b"\r\n".join([*lines, *(b"%b: %b" % pair for pair in kept.items()), b"", b""])
    return Head(raw, int(status[3]), kept)


def _is_framed(kept: Fields) -> bool:
    """Make the end of the body clear; False: the fields contradict each other."""
    coding = kept.pop(b"transfer-encoding", b"").lower()
    codings = set(_SEPARATED.split(coding)) - _NO_CODING if coding else ()
    length = _one_length(kept.pop(b"content-length", None))
    if length is None or (codings and b"chunked" not in codings):
        return False
    if codings:
        kept[b"transfer-encoding"] = b"chunked"
        if length:  # RFC 9112 6.3: the length does not count, and the connection is not used again
            kept[b"connection"] = b"close"
    elif length:
        kept[b"content-length"] = length
    return True


def fields(head: bytes) -> Fields:
    """The fields we use, with names in lower case. Repeated fields are joined by commas."""
    collected: dict[bytes, list[bytes]] = {}
    for written, raw in _FIELD.findall(head):
        value = _CONTROL.sub(b" ", raw).strip()
        collected.setdefault(written.lower(), []).append(value)
    return {
        name: values[0] if name in _ONE else b", ".join(values)
        for name, values in collected.items()
    }


def _one_length(value: bytes | None) -> bytes | None:
    """The length; empty: none is given; None: the given lengths differ."""
    if value is None:
        return b""
    if value.isdigit():
        return value.lstrip(b"0") or b"0"
    said = {part.lstrip(b"0") or b"0" for part in _SEPARATED.split(value) if part}
    length = said.pop() if len(said) == 1 else b""
    return length if length.isdigit() else None


def keep_alive_s(value: bytes | None) -> float | None:
    """Seconds for which the server keeps an idle connection (`timeout=5`); None: not readable."""
    if value is None:
        return None
    said = dict(_pair(part) for part in value.decode("latin-1").lower().split(","))
    if said.get("max") == "0":
        return 0.0
    timeout = said.get("timeout", "")
    if timeout.startswith("-"):
        return 0.0
    match = _NUMBER.match(timeout)
    return float(match[0]) if match else None


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name.strip(), value.strip(" \t\"'")
