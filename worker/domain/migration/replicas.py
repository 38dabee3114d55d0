"""What a replica says of itself, and what the others see of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a replica says of itself every second."""

    replica: str
    """Owner UUID of the process start."""
    applied: int | None
    """Version of its snapshot; None before the first."""
    oldest_unsent: int | None
    """Oldest version of any intent decided and not yet sent."""
    breakers: Mapping[str, str]
    """Breaker state by provider id."""
    faults: Mapping[str, str]
    """What a provider told of our account with it, by its id; absent: nothing is wrong."""
    in_hand: int
    """Deliveries not settled yet."""
    consuming: bool


@dataclass(frozen=True, slots=True)
class LiveReplica:
    """A heartbeat as read."""

    heartbeat: Heartbeat
    age_s: float
