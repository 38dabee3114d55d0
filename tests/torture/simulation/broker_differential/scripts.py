"""Random scripts for a broker: what is published, taken, settled and waited for.

Rules: a script is data and depends on its seed alone. What expires is waited for at once, so that
nothing depends on how fast a broker is.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final

MAIN: Final = "main"
BACK: Final = "back"
DEAD: Final = "dead"
EXCHANGES: Final = (MAIN, BACK, DEAD)
TTL_MS: Final = 300
_ALL: Final = 60
"""More messages than a queue ever holds."""


@dataclass(frozen=True)
class QueueSpec:
    """A queue of the scripts; all names are without the prefix that a player gives them."""

    name: str
    bindings: tuple[tuple[str, str], ...]
    """Exchange and pattern."""
    is_quorum: bool = True
    dead_letters: str | None = None
    """Exchange for its dead letters."""
    at_least_once: bool = False
    """Whether they are moved at least once; else at most once."""
    arguments: dict[str, Any] = field(default_factory=dict)


QUEUES: Final = (
    QueueSpec(
        "lane",
        ((MAIN, "lane.#"), (BACK, "*.lane"), (BACK, "lane.#")),
        dead_letters=DEAD,
        at_least_once=True,
        arguments={"x-delivery-limit": 2},
    ),
    QueueSpec("plain", ((MAIN, "plain"),)),
    QueueSpec(
        "tier",
        ((MAIN, "tier.*"),),
        dead_letters=BACK,
        at_least_once=True,
        arguments={"x-message-ttl": TTL_MS},
    ),
    QueueSpec(
        "short",
        ((MAIN, "short"), (MAIN, "#.both")),
        dead_letters=DEAD,
        arguments={"x-max-length": 3, "x-dead-letter-routing-key": "short.dead"},
    ),
    QueueSpec(
        "classic",
        ((MAIN, "classic"), (MAIN, "*.both")),
        is_quorum=False,
        dead_letters=DEAD,
        arguments={"x-dead-letter-routing-key": "lane.classic"},
    ),
    QueueSpec("loop", ((MAIN, "loop"),), dead_letters=MAIN, arguments={"x-message-ttl": TTL_MS}),
    QueueSpec("dead", ((DEAD, "#"),), dead_letters=BACK),
)
_ONE_QUEUE: Final = ("lane.a", "lane.b.c", "plain", "short", "classic")
"""Keys that lead to one queue each: of two queues nobody knows which one buries first."""
EXPIRING: Final = ("tier.lane", "tier.x", "loop")
"""Keys that lead to queues in which everything expires."""
_KEYS: Final = (*_ONE_QUEUE, "lane.a", "classic.both", "nobody")


@dataclass(frozen=True)
class Publish:
    """Publish a message; one with an expiration is waited for until it is gone, if it may go."""

    body: str
    key: str
    mandatory: bool
    expires_ms: int | None = None
    headers: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Get:
    """Take messages and hold them."""

    queue: str
    count: int = 1


@dataclass(frozen=True)
class Settle:
    """Settle one of the messages in hand."""

    which: float
    """Its place among them, from 0 to 1."""
    how: str


@dataclass(frozen=True)
class Consume:
    """Have messages delivered until there is none or `most` are in hand, and hold them."""

    queue: str
    most: int


@dataclass(frozen=True)
class Share:
    """Publish messages while two consumers share a queue, then end one after the other."""

    body: str
    key: str
    queue: str
    prefetches: tuple[int, int]
    count: int


@dataclass(frozen=True)
class Purge:
    """Empty a queue."""

    queue: str


@dataclass(frozen=True)
class CloseChannel:
    """Close the channel with all that it holds, and open another one."""


Step = Publish | Get | Settle | Consume | Share | Purge | CloseChannel


def draw(seed: int, length: int) -> list[Step]:
    """Return a script; at its end everything that is left is taken."""
    rng = random.Random(f"broker script {seed}")
    steps = [_step(rng, f"{seed}-{n}") for n in range(length)]
    return [*steps, CloseChannel(), *(Get(spec.name, _ALL) for spec in QUEUES)]


def _step(rng: random.Random, body: str) -> Step:
    queue = rng.choice(QUEUES).name
    kinds = {
        "publish": 30, "expiring": 5, "tier": 4, "get": 25, "settle": 28, "consume": 3, "share": 2,
        "purge": 1, "close": 3,
    }  # fmt: skip
    match rng.choices([*kinds], [*kinds.values()])[0]:
        case "publish":
            step: Step = Publish(body, rng.choice(_KEYS), rng.random() < 0.5, None, _headers(rng))
        case "expiring":
            step = Publish(body, rng.choice(_ONE_QUEUE), mandatory=False, expires_ms=1)
        case "tier":
            step = Publish(body, rng.choice(EXPIRING), mandatory=True)
        case "get":
            step = Get(queue, rng.choice((1, 1, 1, 12)))
        case "settle":
            step = Settle(rng.random(), rng.choice(("ack", "nack", "reject", "drop", "drop")))
        case "consume":
            step = Consume(queue, rng.randint(1, 3))
        case "share":
            key = rng.choice(_ONE_QUEUE)
            prefetches = (rng.randint(0, 2), rng.randint(1, 3))
            step = Share(body, key, key.split(".")[0], prefetches, rng.randint(1, 5))
        case "purge":
            step = Purge(queue)
        case _:
            step = CloseChannel()
    return step


def _headers(rng: random.Random) -> tuple[tuple[str, Any], ...]:
    own: dict[str, Any] = {"n": rng.randint(0, 9), "text": "t"}
    if rng.random() < 0.2:
        own[rng.choice(("CC", "BCC"))] = rng.sample(_ONE_QUEUE, 2)
    if rng.random() < 0.2:  # as a publisher may have written it; a player completes the name
        death = {"queue": rng.choice(("lane", "classic")), "reason": "rejected"}
        own["x-death"] = [{**death, "count": 3}] if rng.random() < 0.5 else [death, death]
    return tuple(own.items())
