"""Makes an input smaller while it still breaks the same rule.

Rules: first whole parts are left out, half of the input, then quarters and so on (delta debugging,
Zeller and Hildebrandt 2002), then single bytes become plain ones. The number of tries is bounded,
because a person waits for the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_TRIES: Final = 3_000
_PLAIN: Final = b"0a "


def shrunk(data: bytes, fails: Callable[[bytes], bool], tries: int = MOST_TRIES) -> bytes:
    """The smallest input found for which `fails` still holds."""
    left = [tries]

    def still(candidate: bytes) -> bool:
        left[0] -= 1
        return left[0] >= 0 and fails(candidate)

    while True:
        smaller = _plainer(_without_parts(data, still), still)
        if smaller == data or left[0] <= 0:
            return smaller
        data = smaller


def _without_parts(data: bytes, still: Callable[[bytes], bool]) -> bytes:
    size = max(1, len(data) // 2)
    while size:
        begins = 0
        while begins < len(data):
            candidate = data[:begins] + data[begins + size :]
            if still(candidate):
                data = candidate
            else:
                begins += size
        size //= 2
    return data


def _plainer(data: bytes, still: Callable[[bytes], bool]) -> bytes:
    for place, octet in enumerate(data):
        for plain in _PLAIN:
            candidate = data[:place] + bytes([plain]) + data[place + 1 :]
            if octet in _PLAIN:
                break
            if still(candidate):
                data = candidate
                break
    return data
