"""What becomes of headers on their way through AMQP.

Rules: plain values arrive as they are, keys as text. Everything else goes through the library's own
encoder and decoder, which may refuse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pamqp import decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN: Final = frozenset({str, int, bool, float, type(None)})
_FRAME: Final = 131_072
"""Largest frame, bytes; a message's headers must fit into one."""


def carried(headers: Mapping[Any, Any]) -> dict[str, Any]:
    """Return headers as they arrive."""
    plain: dict[str, Any] = {}
    for key, value in headers.items():
        if type(value) not in _PLAIN:
            return _through_the_library(headers)
        plain[str(key)] = value
    return plain


def _through_the_library(headers: Mapping[Any, Any]) -> dict[str, Any]:
    octets = encode.field_table({str(key): value for key, value in headers.items()})
    return dict(decode.by_type(octets, "table")[1])


def fit_into_a_frame(headers: Mapping[str, Any]) -> bool:
    """Whether headers are short enough to be sent."""
    long = sum(len(value) for value in headers.values() if isinstance(value, str))
    return long < _FRAME
