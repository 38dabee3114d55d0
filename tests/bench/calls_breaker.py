"""A provider's circuit breaker (`worker.providers.breaker`), compiled, for the simulation of calls.

Rules: as there. Time is a number, and a call is named by the generation in which it was admitted:
in half-open no more than one is out. `test_calls_simulation` holds it against the real one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from worker.providers.breaker import LONGEST_WAIT

CLOSED, OPEN, HALF_OPEN = 0, 1, 2
SUCCESS, FAILURE, IGNORED = 0, 1, 2


class When(NamedTuple):
    """When it opens, and how long until the first probe: `worker.settings.BreakerSettings`."""

    consecutive_failures: int
    failure_rate: float
    slow_call_rate: float
    slow_call_s: float
    window: int
    minimum_calls: int
    open_s: float


def fields(when: When) -> list[tuple[str, object]]:
    """Of the record that keeps its state; zeros are a closed one."""
    return [
        ("state", np.int64),
        ("generation", np.int64),
        ("probing", np.bool_),
        ("probe_at", np.float64),
        ("failed_probes", np.int64),
        ("in_a_row", np.int64),
        ("seen", np.int64),  # since the state changed
        ("failed", np.int64),  # of the last calls, and so are the slow ones
        ("slow", np.int64),
        ("calls", np.int64, (when.window, 2)),  # a ring: failed, slow
    ]


@njit
def passable(breaker, now):
    """Whether `admit` may be called."""
    if breaker.state == OPEN:
        return now >= breaker.probe_at
    return breaker.state == CLOSED or not breaker.probing


@njit
def admit(breaker):
    """Let one call through, in half-open the probe; its generation."""
    if breaker.state == OPEN:
        _move(breaker, HALF_OPEN)
    breaker.probing = breaker.state == HALF_OPEN
    return breaker.generation


@njit
def finish(  # noqa: PLR0917 - compiled functions have no keyword-only parameters
    breaker, when, generation, mark, lasted_s, now
):
    """Learn the result of a call."""
    if generation != breaker.generation:
        return
    breaker.probing = False
    if mark == IGNORED:
        return
    if breaker.state == CLOSED:
        _count(breaker, when, mark == FAILURE, lasted_s >= when.slow_call_s)
        if _too_bad(breaker, when):
            _open(breaker, when, now)
    elif mark == SUCCESS:
        breaker.failed_probes = 0
        _move(breaker, CLOSED)
    else:
        breaker.failed_probes += 1
        _open(breaker, when, now)


@njit
def _count(breaker, when, failed, slow):
    call = breaker.calls[breaker.seen % when.window]
    if breaker.seen >= when.window:
        breaker.failed -= call[0]
        breaker.slow -= call[1]
    call[0], call[1] = failed, slow
    breaker.failed += call[0]
    breaker.slow += call[1]
    breaker.seen += 1
    breaker.in_a_row = breaker.in_a_row + 1 if failed else 0


@njit
def _too_bad(breaker, when):
    if breaker.in_a_row >= when.consecutive_failures:
        return True
    seen = min(breaker.seen, when.window)
    if seen < when.minimum_calls:
        return False
    failing = breaker.failed >= when.failure_rate * seen
    return failing or breaker.slow >= when.slow_call_rate * seen


@njit
def _open(breaker, when, now):
    breaker.probe_at = now + when.open_s * min(2**breaker.failed_probes, LONGEST_WAIT)
    _move(breaker, OPEN)


@njit
def _move(breaker, state):
    breaker.state = state
    breaker.generation += 1
    breaker.probing = False
    breaker.in_a_row = 0
    breaker.seen = 0
    breaker.failed = 0
    breaker.slow = 0
