"""Finds the last known good version: the last one before the present that stood well.

Rules: such a version was in force for `FOR_S` without an alarm. An alarm is a rollback by which
automation ended the version, or a hold of automation while the version was in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

FOR_S: Final = 1_800.0
LOOK_BACK: Final = 200
"""The number of changes of state that are searched."""


@dataclass(frozen=True, slots=True)
class Version:
    """A change of state, with the fields that this rule needs."""

    number: int
    """The number of its entry in the log."""
    at: datetime
    automatic_downs: Sequence[datetime]


def stood_well(version: Version, following: Version, for_s: float = FOR_S) -> bool:
    """Whether a version was in force long enough and did not end by an automatic rollback.

    The caller checks the log entries between the two for holds of automation.
    """
    long_enough = (following.at - version.at).total_seconds() >= for_s
    return long_enough and list(version.automatic_downs) == list(following.automatic_downs)
