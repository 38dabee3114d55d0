"""What the outcomes are held against: from the flags and the state in force.

Rules: pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.domain.migration.direction import share
from worker.domain.migration.phases import Phase, Role, requirements_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.migration.flags import Flags
    from worker.domain.migration.snapshot import Snapshot

Bounds = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""p0 by signal; failures have two."""
BOUNDS: Final[Bounds] = ((0.05, 0.10), (0.05,), (0.02,))
Margins = tuple[float, float, float]
"""By how much the target's rate may exceed legacy's, by signal, 0 to 1."""
MARGINS: Final[Margins] = (0.02, 0.02, 0.01)


@dataclass(frozen=True, slots=True)
class Criteria:
    """What the outcomes are held against: from the flags and state in force."""

    share: int
    """The target's share, per cent."""
    since: float | None
    """When that share began, seconds since the epoch."""
    anew: int = 0
    """Of the state (`Snapshot.anew`): another one, and the evidence starts anew."""
    providers: tuple[str, str] = ("", "")
    """Which accounts target and legacy are."""
    legacy_enabled: bool = True
    bounds: Bounds = BOUNDS
    margins: Margins = MARGINS
    slow_ms: float = 5_000.0
    """Accepted calls that take longer are slow."""
    reports: tuple[bool, bool] = (True, True)
    """Whether target and legacy give delivery reports at all."""
    delivery_age_s: float = 600.0
    grace_s: float = 0.0
    """How long failing calls are waited out: a restart of the target (`RollbackGraceSeconds`)."""


def criteria_of(
    state: Snapshot,
    reports: Mapping[Role, bool],
    delivery_age_s: float,
    providers: tuple[str, str] = ("", ""),
) -> Criteria:
    """What the outcomes are held against under this state."""
    flags = state.flags
    most_errors = flags.thresholds.max_error_rate / 100.0
    most_failures = (100.0 - flags.thresholds.min_success_rate) / 100.0
    within = flags.migration.worse_by_at_most
    return Criteria(
        share=share(state),
        since=state.since.timestamp() if state.since else None,
        anew=state.anew,
        providers=providers,
        legacy_enabled=state.flags.legacy_enabled,
        bounds=((most_errors, most_failures), (0.05,), (_undelivered(flags, state.phase),)),
        margins=(within.failed / 100.0, within.slow / 100.0, within.undelivered / 100.0),
        slow_ms=flags.thresholds.max_response_ms,
        reports=(reports[Role.TARGET], reports[Role.LEGACY]),
        delivery_age_s=delivery_age_s,
        grace_s=flags.rollback_grace_s,
    )


def _undelivered(flags: Flags, phase: Phase) -> float:
    """The undelivered rate that the present or the next phase tolerates, 0 to 1."""
    wanted = requirements_at(flags.phases, phase)
    return 0.02 if wanted is None else (100.0 - wanted.min_delivery_rate) / 100.0
