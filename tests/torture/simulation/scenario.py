"""A scenario: everything that is going to happen to the workers, written down before it begins.

Rules: a scenario is a list of steps, each with its time and independent of the others, so that any
part of it is a scenario too: a failing one is shrunk by leaving steps out. Times are seconds from
the beginning. Processes are numbered; so are the calls of a process to a server, from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.torture.simulation.fates import Fate
    from tests.torture.simulation.providers import Manner


@dataclass(frozen=True, slots=True)
class Publish:
    """An upstream service publishes a command."""

    at: float
    id: str
    to: str
    lane: str
    life_s: float | None = None
    """None: the default life of the lane."""
    copies: int = 1
    """How often it is published, within a second."""
    valid: bool = True
    queue_s: float | None = None
    """AMQP `expiration`: the broker takes it out of its queue after this time."""


@dataclass(frozen=True, slots=True)
class Behave:
    """A provider answers in another manner for a while."""

    at: float
    provider: str
    manner: Manner
    for_s: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One call of a process to a server has a fate."""

    process: int
    server: str
    """`database`, `broker` or `provider`."""
    nth: int
    fate: Fate


class End(StrEnum):
    """How a process ends."""

    KILL = "kill"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Stop:
    """A process ends, and another one takes its place."""

    at: float
    process: int
    end: End
    back_after_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A process runs no code for a while."""

    at: float
    process: int
    for_s: float


class Trouble(StrEnum):
    """What befalls a server."""

    DATABASE_AWAY = "database away"
    FAIL_OVER = "database fails over"
    """Another member becomes primary; what the majority had not got is rolled back."""
    BROKER_RESTART = "broker restarts"
    LINKS_LOST = "links to the broker lost"
    BLOCKED = "broker blocks publishing"
    CONSUMERS_CANCELLED = "broker cancels consumers"
    PURGED = "retry queues purged"
    """A person removes the copies that wait."""


@dataclass(frozen=True, slots=True)
class Befall:
    """A server has trouble."""

    at: float
    trouble: Trouble
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Jump:
    """The wall clock of a machine jumps, and comes back."""

    at: float
    machine: str
    """`database`, or `process N`."""
    by_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Steer:
    """A person publishes a control command."""

    at: float
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    copies: int = 1


@dataclass(frozen=True, slots=True)
class OptOut:
    """A recipient opts out at a provider."""

    at: float
    to: str
    provider: str


@dataclass(frozen=True, slots=True)
class Forge:
    """Somebody with a provider's token sends a report about a message of another provider."""

    at: float
    provider: str
    message: str


Step = Publish | Behave | Hit | Stop | Pause | Befall | Jump | Steer | OptOut | Forge


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, and what it starts from."""

    seed: str
    steps: tuple[Step, ...]
    percentage: int = 50
    processes: int = 2
    delivery_limit: int = 1000
    """After so many deliveries in vain the broker takes a message out of its lane."""
    watched: bool = False
    """Whether automation watches the outcomes."""
