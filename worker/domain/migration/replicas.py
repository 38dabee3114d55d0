"""Heartbeats of replicas, as written and as read by the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


_SHOWN: Final = 12


def short_id(replica: str) -> str:
    """The end of a replica's id: the part that tells replicas of one name apart."""
    end = replica[1 - _SHOWN :]
    return replica if len(replica) <= _SHOWN else f"…{end}"


@dataclass(frozen=True, slots=True)
class Process:
    """What the process of a replica is; None: not known, as an older worker did not write it."""

    software: str | None = None
    """Version of the program."""
    host: str | None = None
    started_at: datetime | None = None


UNKNOWN: Final = Process()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The heartbeat that a replica writes every second."""

    replica: str
    """Id of the replica, new at each start of the process."""
    applied: int | None
    """The version of its snapshot; None before the first."""
    oldest_unsent: int | None
    """The oldest version of any intent that is decided and not yet sent."""
    breakers: Mapping[str, str]
    """Breaker state by provider id."""
    faults: Mapping[str, str]
    """The fault of our account as the provider reported it, by provider id; absent: no fault."""
    in_hand: int
    """The number of deliveries not settled yet."""
    consuming: bool
    process: Process = UNKNOWN


@dataclass(frozen=True, slots=True)
class LiveReplica:
    """A heartbeat as read."""

    heartbeat: Heartbeat
    age_s: float
