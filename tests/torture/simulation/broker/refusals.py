"""How the broker refuses something, and how this one says that it cannot do it.

Rules: a refusal closes the channel on which it happens, or the whole connection. What the
simulation does not know is never left out in silence: it raises `NotSimulated` with its name.
"""

from __future__ import annotations

from typing import Final

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
RESOURCE_LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406


class ChannelRefusal(Exception):  # noqa: N818 - the broker's answer, not a failure of ours
    """The broker closes the channel."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class SessionGone(Exception):  # noqa: N818 - a fact of the network
    """The broker knows this connection or channel no more, so it reads nothing from it."""


class NotSimulated(Exception):  # noqa: N818 - a limit of the simulation
    """The real broker can do this, the simulated one cannot."""
