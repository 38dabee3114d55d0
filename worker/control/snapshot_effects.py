"""What follows from a new snapshot besides routing: breaker resets, slow calls, retention.

Rules: called with each swap; a replica that starts resets nothing, for its breakers are new. What
takes the store's time runs beside the heartbeat, never before it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.migration.phases import Role
    from worker.domain.migration.snapshot import Snapshot
    from worker.service import Background

RETRY_S: Final = 5.0
_log = structlog.get_logger(__name__)


class Resettable(Protocol):
    """A breaker an administrator may close."""

    def reset(self, reason: str) -> None:
        """Close it."""
        ...


class Slowness(Protocol):
    """Counts slow calls."""

    slow_ms: float


class Retaining(Protocol):
    """Keeps metrics for a time."""

    retention_days: int

    async def retain(self, days: int) -> None:
        """Keep old documents that long too. Raises `StoreUnavailable`."""
        ...


class SnapshotEffects:
    """Applies to this process what a snapshot says.

    Args:
        breakers: by role.
        metrics: told from which duration on a call is slow.
        slots: told how long metrics are kept.
        background: runs what takes time.
    """

    def __init__(
        self,
        breakers: Mapping[Role, Resettable],
        metrics: Slowness,
        slots: Retaining,
        background: Background,
    ) -> None:
        self._breakers = breakers
        self._metrics = metrics
        self._slots = slots
        self._background = background
        self._retaining: asyncio.Task[None] | None = None

    def __call__(self, before: Snapshot | None, after: Snapshot) -> None:
        """Follow a swap."""
        self._metrics.slow_ms = after.flags.thresholds.max_response_ms
        self._slots.retention_days = after.flags.migration.metrics_retention_days
        if before is None or before.lineage != after.lineage:
            return
        for role, breaker in self._breakers.items():
            if after.breaker_resets.get(role, 0) > before.breaker_resets.get(role, 0):
                breaker.reset(f"{after.initiated_by}: {after.notes}")
        days = after.flags.migration.metrics_retention_days
        if days != before.flags.migration.metrics_retention_days:
            self._retain(days)

    def _retain(self, days: int) -> None:
        """Have old documents follow, the newest wish alone."""
        if self._retaining is not None:
            self._retaining.cancel()
        self._retaining = self._background.spawn(self._keep_retaining(days), "metrics retention")

    async def _keep_retaining(self, days: int) -> None:
        while True:
            try:
                await self._slots.retain(days)
            except StoreUnavailable as away:
                _log.warning("metrics retention waits for the store", error=str(away))
                await asyncio.sleep(RETRY_S)
            else:
                return
