"""Checks whether a server is new enough.

Rules: the check runs once, at the start, because calls to an older server would later fail without
a clear reason. A version that cannot be read counts as too old.
"""

from __future__ import annotations

import re
from typing import Final

from worker.service import StartError

_VERSION: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?![0-9])", re.ASCII)
_SHOWN: Final = 40


class UnfitServerError(StartError):
    """A server is too old for this worker. The message names the variable of its address."""

    def __init__(self, variable: str, expected: str, got: str) -> None:
        super().__init__(f"{variable}: expected {expected}, got {got[:_SHOWN]}")


def require(variable: str, product: str, oldest: tuple[int, int], got: object) -> None:
    """Refuse a server whose version is older than `oldest`.

    Args:
        variable: name of the variable that holds the server's address.
        product: name of the server.
        oldest: major and minor version.
        got: the version as the server spells it.

    Raises:
        UnfitServerError: the server is older, or `got` is no version.
    """
    found = _VERSION.match(got) if isinstance(got, str) else None
    if found is None or (int(found[1]), int(found[2])) < oldest:
        wanted = f"{product} {oldest[0]}.{oldest[1]} or later"
        raise UnfitServerError(variable, wanted, f"version {got!r}")
