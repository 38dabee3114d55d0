"""The port for counting attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from worker.domain.figures.tally import Measured


class Meter(Protocol):
    """Counts attempts. Its methods do not wait and never fail."""

    def began(self, provider: str, *, eligible: bool) -> int:
        """Note that a call begins now.

        Returns:
            The number of the call, to be passed to `attempt` or `abandoned` when it ends.
        """
        ...

    def abandoned(self, call: int) -> None:
        """Note that a call ended without an outcome: it was cancelled."""
        ...

    def attempt(self, measured: Measured, call: int) -> None:
        """Count one finished attempt."""
        ...

    def skipped(
        self, provider: str, *, eligible: bool, recipient_hash: str, lane: str, probe: bool = False
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
        """Count whether an accepted attempt was delivered by the delivery age.

        `reported`: whether a final report came. Without one the attempt counts as undelivered,
        although only the report may be missing. `probe`: a validation message, counted apart.
        """
        ...
