"""What became known of both providers in one tick.

Rules: values alone. Counts may be fractions: planning goes through the same engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.domain.detection.likelihood import NOTHING, EventCounts
from worker.domain.detection.silence import NONE_JUDGED, DeliveryCounts

if TYPE_CHECKING:
    from worker.domain.detection.cohorts import Cohort

TICK_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ProviderTick:
    """One provider in one tick."""

    failed: EventCounts = NOTHING
    slow: EventCounts = NOTHING
    judged: DeliveryCounts = NONE_JUDGED
    refused: float = 0
    """By the fault of the recipient or the message: no failure of the provider's."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What became known since the tick before."""

    at: float
    """Seconds since the epoch."""
    target: ProviderTick
    legacy: ProviderTick
    legacy_all: EventCounts = NOTHING
    """Every attempt at legacy, fallbacks and probes too: whether there is a way back."""
    breaker_open: bool = False
    """The target's breaker is not closed on most replicas."""
    legacy_open: bool = False
    """Legacy's breaker is not closed on most replicas."""
    legacy_answers: bool = False
    """Legacy's breaker is closed on most replicas, and its account call succeeded. Asked only while
    the target's breaker is open; else False."""
    account_fault: str = ""
    """What is wrong with our account at the target, as any replica was told; empty: nothing."""
    cohorts: tuple[Cohort, ...] | None = None
    """Calls by the slot in which they began, of the last minute, in the order of their start.
    None: not recorded; what became known in the tick then stands for them."""
