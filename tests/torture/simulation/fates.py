"""What can become of one call of a simulated process."""

from __future__ import annotations

from enum import StrEnum


class Fate(StrEnum):
    """What is done to one call. Without a fate it is applied and answered within milliseconds."""

    KILL_BEFORE = "killed before it"
    """The process is killed before anything leaves it."""
    KILL_APPLIED = "killed after it"
    """The server does it, and the process is killed before it learns so."""
    LOSE_REQUEST = "request lost"
    """The server never gets it; the caller waits until it gives up."""
    RESET = "connection reset"
    """The server never gets it; the caller learns at once that the connection is gone."""
    LOSE_REPLY = "reply lost"
    """The server does it; the caller waits until it gives up."""
    RESET_AFTER = "connection reset after it"
    """The server does it; the caller learns at once that the connection is gone."""
    LATE = "request late"
    """The server does it after its caller has given up."""
    SLOW = "reply slow"
    """The reply comes just before its caller gives up."""


KILLS = frozenset({Fate.KILL_BEFORE, Fate.KILL_APPLIED})
