"""Applies the parts of a new snapshot other than routing: breaker resets, slow calls, retention.

Rules: it is called with each new snapshot. A replica that starts resets nothing, because its
breakers are new. Work in the store runs beside the heartbeat and never delays it.
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
    """A breaker that an administrator may close."""

    def reset(self, reason: str) -> None:
        """Close it."""
        ...


class Slowness(Protocol):
    """What counts slow calls."""

    slow_ms: float


class Retaining(Protocol):
    """What keeps metrics for a time."""

    retention_days: int

    async def retain(self, days: int) -> None:
        """Keep old documents for this time too. Raises `StoreUnavailable`."""
        ...


class SnapshotEffects:
    """Applies a snapshot to this process.

    Args:
        breakers: by role.
        metrics: gets the duration from which a call is slow.
        slots: gets the time for which metrics are kept.
        background: runs the work in the store.
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
        """Apply the new snapshot."""
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
        """Apply the new time to old documents too; only the newest time counts."""
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
