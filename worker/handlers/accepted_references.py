"""Keeps references of attempts that were just accepted, until the sweeper takes them.

Rules: a delivery report may come before the response of its attempt is stored. So the sweeper looks
for stored reports soon after an attempt is accepted. The references live in memory only. Losing
them with the process is harmless, because every sweep looks for all unmatched reports.
"""

from __future__ import annotations


class AcceptedReferences:
    """References for which the sweeper looks up stored reports."""

    def __init__(self) -> None:
        self._waiting: list[str] = []

    def add(self, reference: str) -> None:
        """Note that an attempt with this reference was accepted."""
        self._waiting.append(reference)

    def take(self) -> list[str]:
        """Return and forget all references added since the last call."""
        taken, self._waiting = self._waiting, []
        return taken
