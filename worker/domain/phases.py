"""Phases of a migration and the two roles traffic is shared between.

Rules: a phase is a word with a documented meaning, stored and published as spelled here; a role is
held by one configured provider, whose id is configuration.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a provider is in the migration."""

    TARGET = "target"
    LEGACY = "legacy"

    @property
    def other(self) -> Role:
        """The role this one falls back to."""
        return Role.LEGACY if self is Role.TARGET else Role.TARGET


class Phase(StrEnum):
    """Where the migration stands."""

    NOT_STARTED = "NotStarted"
    """Legacy alone; the target has no role."""
    PARALLEL_SETUP = "ParallelSetup"
    """A trickle, to see the integration work."""
    GRADUAL_MIGRATION = "GradualMigration"
    LEGACY_DEPRECATION = "LegacyDeprecation"
    COMPLETE_MIGRATION = "CompleteMigration"
    ROLLBACK = "Rollback"
    """Legacy alone again; from anywhere, at once."""


LEGACY_ALONE: Final = frozenset({Phase.NOT_STARTED, Phase.ROLLBACK})
"""Phases in which the target has no role, not even as fallback."""

PERCENTAGES: Final = range(101)
