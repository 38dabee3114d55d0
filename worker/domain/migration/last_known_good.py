"""Which version is known to be good: the last one that proved itself, and is not the present one.

Rules: it was in force for `FOR_S` without an alarm. An alarm is that automation ended the version
by going down, or that it held for a reason while the version was in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

FOR_S: Final = 1_800.0
LOOK_BACK: Final = 200
"""Changes of state that are searched for one."""


@dataclass(frozen=True, slots=True)
class Version:
    """A change of state, as far as this rule asks."""

    number: int
    """Of its entry in the log."""
    at: datetime
    automatic_downs: Sequence[datetime]


def stood_well(version: Version, following: Version, for_s: float = FOR_S) -> bool:
    """Whether a version stood long enough, and did not end by going down.

    Whether automation held meanwhile, the entries between the two say.
    """
    long_enough = (following.at - version.at).total_seconds() >= for_s
    return long_enough and list(version.automatic_downs) == list(following.automatic_downs)
