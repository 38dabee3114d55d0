"""What becomes of headers on their way through AMQP.

Rules: plain values arrive as they are, keys as text. Everything else goes through the library's own
encoder and decoder, which may refuse it. A table that does not fit into a frame is not simulated:
the real broker closes the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pamqp import decode, encode

from tests.torture.simulation.broker.refusals import NotSimulated

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAIN: Final = frozenset({str, int, bool, float, type(None)})
_MOST: Final = 100_000
"""Characters of a value that fit into a frame in any case."""


def carried(headers: Mapping[Any, Any]) -> dict[str, Any]:
    """Return headers as they arrive."""
    plain: dict[str, Any] = {}
    for key, value in headers.items():
        if type(value) not in _PLAIN:
            return _through_the_library(headers)
        if type(value) is str and len(value) > _MOST:
            raise NotSimulated("headers that do not fit into a frame")
        plain[str(key)] = value
    return plain


def _through_the_library(headers: Mapping[Any, Any]) -> dict[str, Any]:
    octets = encode.field_table({str(key): value for key, value in headers.items()})
    return dict(decode.by_type(octets, "table")[1])
