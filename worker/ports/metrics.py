"""Counting of attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from worker.domain.figures.tally import Measured


class Meter(Protocol):
    """Counts attempts; synchronous, never fails."""

    def began(self, provider: str, *, eligible: bool) -> int:
        """Note that a call begins now.

        Returns:
            The number it ends under: by `attempt`, or by `abandoned`.
        """
        ...

    def abandoned(self, call: int) -> None:
        """Note that a call ended without an outcome: it was cancelled."""
        ...

    def attempt(self, measured: Measured, call: int) -> None:
        """Count one finished attempt."""
        ...

    def skipped(
        self, provider: str, *, eligible: bool, recipient_hash: str, probe: bool = False
    ) -> None:
        """Count a candidate passed over because its breaker is open."""
        ...

    def judged(
        self,
        provider: str,
        *,
        delivered: bool,
        eligible: bool,
        recipient_hash: str,
        reported: bool = True,
        probe: bool = False,
    ) -> None:
        """Count an accepted attempt judged at the delivery age.

        `reported`: a final report came; without one, delivery is as good as undelivered, but
        reports may be what is missing. `probe`: a validation message, counted apart.
        """
        ...
