"""References of attempts just accepted, on their way from the store to the sweeper.

Rules: a delivery report may come before the response of its attempt is stored. So the sweeper looks
for stored reports soon after an attempt is accepted. What is lost with the process costs nothing:
every sweep looks for all orphans.
"""

from __future__ import annotations


class AcceptedReferences:
    """What the sweeper is to look for."""

    def __init__(self) -> None:
        self._waiting: list[str] = []

    def add(self, reference: str) -> None:
        """An attempt with this reference was accepted."""
        self._waiting.append(reference)

    def take(self) -> list[str]:
        """All that were added since the last look."""
        taken, self._waiting = self._waiting, []
        return taken
