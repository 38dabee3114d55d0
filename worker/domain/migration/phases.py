"""Phases of a migration, the two roles that share the traffic, and the table of moves.

Rules: a phase is a word with a documented meaning, stored and published as spelled here. `MOVES` is
the state machine: phase x move -> phase. A missing cell is an error that changes nothing. Entries,
ranges, steps and requirements are configuration (`Rules`), but the table is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.domain.migration.change_names import ChangeName

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(StrEnum):
    """The role of a provider in the migration."""

    TARGET = "target"
    LEGACY = "legacy"

    @property
    def other(self) -> Role:
        """The role that is the fallback of this one."""
        return Role.LEGACY if self is Role.TARGET else Role.TARGET


class Phase(StrEnum):
    """The phase of the migration."""

    NOT_STARTED = "NotStarted"
    """Only legacy is used; the target has no role."""
    PARALLEL_SETUP = "ParallelSetup"
    """Very little traffic goes to the target, to see that the integration works."""
    GRADUAL_MIGRATION = "GradualMigration"
    LEGACY_DEPRECATION = "LegacyDeprecation"
    COMPLETE_MIGRATION = "CompleteMigration"
    ROLLBACK = "Rollback"
    """Only legacy is used again. It is reached from any phase at once."""


LEGACY_ALONE: Final = frozenset({Phase.NOT_STARTED, Phase.ROLLBACK})
"""Phases in which the target has no role, not even as fallback."""
WAY_UP: Final = tuple(phase for phase in Phase if phase not in LEGACY_ALONE)
"""All other phases, in the order in which a migration enters them."""

FULL_SHARE: Final = 100
"""The share in per cent at which all traffic goes to the target."""
PERCENTAGES: Final = range(FULL_SHARE + 1)


_P, _C = Phase, ChangeName
MOVES: Final[Mapping[tuple[Phase, ChangeName], Phase]] = MappingProxyType(
    {
        (_P.NOT_STARTED, _C.ADVANCE): _P.PARALLEL_SETUP,
        (_P.PARALLEL_SETUP, _C.ADVANCE): _P.GRADUAL_MIGRATION,
        (_P.GRADUAL_MIGRATION, _C.ADVANCE): _P.LEGACY_DEPRECATION,
        (_P.LEGACY_DEPRECATION, _C.ADVANCE): _P.COMPLETE_MIGRATION,
        (_P.ROLLBACK, _C.ADVANCE): _P.PARALLEL_SETUP,
        (_P.PARALLEL_SETUP, _C.STEP): _P.PARALLEL_SETUP,
        (_P.GRADUAL_MIGRATION, _C.STEP): _P.GRADUAL_MIGRATION,
        (_P.LEGACY_DEPRECATION, _C.STEP): _P.LEGACY_DEPRECATION,
        (_P.COMPLETE_MIGRATION, _C.STEP): _P.COMPLETE_MIGRATION,
        **{(phase, _C.SET_PERCENTAGE): phase for phase in _P},
        (_P.PARALLEL_SETUP, _C.ROLLBACK): _P.NOT_STARTED,
        (_P.GRADUAL_MIGRATION, _C.ROLLBACK): _P.PARALLEL_SETUP,
        (_P.LEGACY_DEPRECATION, _C.ROLLBACK): _P.GRADUAL_MIGRATION,
        (_P.COMPLETE_MIGRATION, _C.ROLLBACK): _P.LEGACY_DEPRECATION,
        **{(phase, _C.EMERGENCY_ROLLBACK): _P.ROLLBACK for phase in _P},
        (_P.COMPLETE_MIGRATION, _C.RETIRE_LEGACY): _P.COMPLETE_MIGRATION,
    }
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """The figures that the target needs to enter a phase. Rates in per cent."""

    min_success_rate: float
    max_p95_ms: float
    max_error_rate: float
    min_delivery_rate: float


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a phase."""

    entry: int
    """Percentage on entry."""
    low: int
    high: int
    """The range is `low..high`; 0 is allowed in every phase."""
    steps: tuple[int, ...]
    requirements: Requirements | None = None
    """None: the phase has no requirements for its entry."""

    def allows(self, percentage: int) -> bool:
        """Whether the percentage is within the range."""
        return percentage == 0 or self.low <= percentage <= self.high

    def step_after(self, percentage: int) -> int | None:
        """The next step above; None at the last."""
        return next((step for step in self.steps if step > percentage), None)


DEFAULT_RULES: Final[Mapping[Phase, Rules]] = MappingProxyType(
    {
        Phase.NOT_STARTED: Rules(0, 0, 0, ()),
        Phase.PARALLEL_SETUP: Rules(1, 0, 5, (1, 5)),
        Phase.GRADUAL_MIGRATION: Rules(
            25, 0, 75, (5, 10, 25, 50, 75), Requirements(95.0, 3_000.0, 2.0, 98.0)
        ),
        Phase.LEGACY_DEPRECATION: Rules(
            75, 0, 99, (75, 90, 95, 98), Requirements(98.0, 2_000.0, 1.0, 99.0)
        ),
        Phase.COMPLETE_MIGRATION: Rules(
            100, 100, 100, (100,), Requirements(99.0, 2_000.0, 0.5, 99.5)
        ),
        Phase.ROLLBACK: Rules(0, 0, 0, ()),
    }
)


def phase_holding(rules: Mapping[Phase, Rules], percentage: int) -> Phase | None:
    """The first phase whose range holds the percentage (0: `NotStarted`); None: there is none."""
    return next((phase for phase in Phase if rules[phase].allows(percentage)), None)


def requirements_at(rules: Mapping[Phase, Rules], phase: Phase) -> Requirements | None:
    """The requirements of a phase, or else those of the next phase that has any."""
    phases = list(Phase)
    later = (rules[each].requirements for each in phases[phases.index(phase) :])
    return next((wanted for wanted in later if wanted is not None), None)


def picture() -> str:
    """The table as a mermaid state diagram."""
    shown = (ChangeName.ADVANCE, ChangeName.ROLLBACK, ChangeName.EMERGENCY_ROLLBACK)
    lines = [
        f"    {start} --> {end}: {move}"
        for (start, move), end in MOVES.items()
        if move in shown and start is not end
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Phase.NOT_STARTED}", *lines])
