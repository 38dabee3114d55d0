"""How the broker refuses something, and how this one says that it cannot do it.

Rules: a refusal closes the channel on which it happens. What the simulation does not know is never
left out in silence: it raises `NotSimulated` with its name.
"""

from __future__ import annotations

from typing import Final

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
RESOURCE_LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
_NAMES: Final = {
    ACCESS_REFUSED: "ACCESS_REFUSED",
    NOT_FOUND: "NOT_FOUND",
    RESOURCE_LOCKED: "RESOURCE_LOCKED",
    PRECONDITION_FAILED: "PRECONDITION_FAILED",
}


class ChannelRefusal(Exception):  # noqa: N818 - the broker's answer, not a failure of ours
    """The broker closes the channel.

    Args:
        code: as AMQP numbers it.
        text: what the broker says after the code's name.
    """

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = f"{_NAMES[code]} - {text}"
        super().__init__(self.text)


class FrameRefusal(Exception):  # noqa: N818 - as above
    """The broker cannot read a frame, and closes the connection."""

    def __init__(self) -> None:
        super().__init__("FRAME_ERROR - type 2, frame too large")


class NotKnown(Exception):  # noqa: N818 - a fact of the network
    """The broker knows this channel no more, so it reads nothing from it."""


class Unread(Exception):  # noqa: N818 - a fact of the network
    """The broker reads nothing more from this connection for now; what it met stays where it is."""


class NotSimulated(Exception):  # noqa: N818 - a limit of the simulation
    """The real broker can do this, the simulated one cannot."""
