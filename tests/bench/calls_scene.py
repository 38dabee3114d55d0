"""What the simulation of calls is about: messages, replicas, providers, and the log of calls.

Rules: records in arrays, which compiled functions change. A message is in one queue at most, the
broker's or that of a provider's places at a replica; queues are linked through the messages.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
from numba import njit

from tests.bench.calls_breaker import When, fields
from worker.providers.guard import ASK_AGAIN_S, PATIENCE_S

TARGET, LEGACY = 0, 1
ACCEPTED, NOT_SENT, UNKNOWN, REFUSED, SKIPPED = 0, 1, 2, 3, 4
"""How a call ends, or that the provider was passed over because its breaker is open."""
DEADLINE_S = 30.0
"""A call that takes as long may have left."""
QUICKEST_S = 0.05
_EXACT_S = 5.0
"""Failures that take longer take equally long, as timeouts do."""

MESSAGE = np.dtype(
    [
        ("at", np.float64),
        ("side", np.int64),  # the provider that the percentage names
        ("group", np.int64),
        ("next", np.int64),  # behind it in a queue
        ("replica", np.int64),
        ("attempts", np.int64),
        ("rounds", np.int64),
        ("in_doubt", np.bool_),
        ("failed", np.int64),  # at whom its number counted; bits, and so are the next three
        ("tried", np.int64),  # in this round, and so on
        ("passed_over", np.int64),
        ("waited_for", np.int64),
        ("own_fault", np.bool_),
        ("refused_by", np.int64),
        ("until", np.float64),  # it waits
        ("generation", np.int64),  # of its call, and so are its place and its row
        ("provider", np.int64),
        ("row", np.int64),
    ],
    align=True,
)
WAY = np.dtype(
    [
        ("ends", np.float64),
        ("failing", np.float64),
        ("refusing", np.float64),
        ("late_s", np.float64),
        ("takes_s", np.float64),
        ("losing", np.float64),
    ]
)
"""What a provider does, until when: see `calls_simulation.Way`."""
CALL = np.dtype(
    [
        ("began", np.float64),
        ("ended", np.float64),
        ("message", np.int64),
        ("provider", np.int64),
        ("outcome", np.int64),
        ("eligible", np.bool_),
        ("counts", np.bool_),  # its number did not fail there before
    ],
    align=True,
)
_QUEUE = [("waiting", np.int64), ("first", np.int64), ("last", np.int64)]
_REPLICA = np.dtype([("in_hand", np.int64), ("paused_until", np.float64)])
_BROKER = np.dtype([*_QUEUE, ("rows", np.int64)])


class Limits(NamedTuple):
    """Of every replica."""

    when: When
    """Breakers open."""
    places: int
    """At each provider."""
    prefetch: int
    life_s: float
    """Of a message."""
    rounds: int
    """Of a message that may fail."""


class Scene(NamedTuple):
    """Everything there is."""

    limits: Limits
    ways: np.ndarray
    """By stretch of time, group of numbers and provider."""
    messages: np.ndarray
    guards: np.ndarray
    """Breaker, places and who waits for one, by replica and provider."""
    replicas: np.ndarray
    broker: np.ndarray
    """Of one: its queue, and how many rows of the log are written."""
    log: np.ndarray


def scene(messages: np.ndarray, ways: np.ndarray, limits: Limits, replicas: int) -> Scene:
    """Before the first message, all breakers closed."""
    places = [("taken", np.int64), ("begun", np.float64, (limits.places,))]  # the oldest first
    guard = np.dtype([*fields(limits.when), *places, *_QUEUE], align=True)
    return Scene(
        limits=limits,
        ways=ways,
        messages=messages,
        guards=np.zeros((replicas, 2), guard),
        replicas=np.zeros(replicas, _REPLICA),
        broker=np.zeros(1, _BROKER),
        log=np.empty(12 * len(messages) + 1, CALL),
    )


# --- queues and places ---------------------------------------------------------------------


@njit
def append(scene, queue, number):
    if queue.waiting:
        scene.messages[queue.last].next = number
    else:
        queue.first = number
    queue.last = number
    queue.waiting += 1


@njit
def popped(scene, queue):
    """Who waited longest."""
    number = queue.first
    queue.first = scene.messages[number].next
    queue.waiting -= 1
    return number


@njit
def busy_for(guard, places, now):
    """Seconds a newcomer would wait, by the age of the call in the middle; short ones are none."""
    short = guard.waiting + 1 - (places - guard.taken)
    if short <= 0:
        return 0.0
    wait = short * 2.0 * (now - guard.begun[guard.taken // 2]) / places
    return min(wait, ASK_AGAIN_S) if wait > PATIENCE_S else 0.0


@njit
def give_place_back(guard, began):
    at = 0
    while guard.begun[at] != began:
        at += 1
    guard.taken -= 1
    for each in range(at, guard.taken):
        guard.begun[each] = guard.begun[each + 1]


# --- calls ---------------------------------------------------------------------------------


@njit
def drawn(way):
    """Outcome of a call, and the seconds it takes."""
    luck = random.random()
    if luck < way.failing:
        late = way.late_s
        lasts = late if late > _EXACT_S else late * (0.5 + random.random())
        return (UNKNOWN if lasts >= DEADLINE_S else NOT_SENT), lasts
    lasts = QUICKEST_S + random.expovariate(1.0 / (way.takes_s - QUICKEST_S))
    if lasts >= DEADLINE_S:
        return UNKNOWN, DEADLINE_S
    return (REFUSED if luck < way.failing + way.refusing else ACCEPTED), lasts


@njit
def write(scene, number, provider, outcome, began, ended):  # noqa: PLR0917 - see `finish`
    """A row of the log; its number. Eligible is the first attempt, at whom the percentage names."""
    message, at = scene.messages[number], scene.broker[0].rows
    if at == len(scene.log):
        raise IndexError("the log of calls is full")
    row, bit = scene.log[at], 1 << provider
    row.began, row.ended, row.message, row.provider = began, ended, number, provider
    row.outcome, row.eligible = outcome, provider == message.side and not message.attempts
    fails = outcome in (NOT_SENT, UNKNOWN, SKIPPED)
    row.counts = not (fails and message.failed & bit)
    if fails:
        message.failed |= bit
    scene.broker[0].rows += 1
    return at
