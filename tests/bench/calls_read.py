"""A log of calls as the slots and cohorts of all replicas would show it, look by look.

Rules: numbers by look, `seen` being the moment of each whose state is read. What ended counts in
the first look after it, cohorts are those of the last minute, and nothing of a call younger than
`GRACE_S` is in them (`telemetry.cohorts`). No call outlives the slot in which it began by more than
`SETTLED_AFTER_S`.
"""

from __future__ import annotations

import math

import numpy as np

from tests.bench.calls_scene import ACCEPTED, LEGACY, REFUSED, SKIPPED
from worker.domain.detection.cohorts import GRACE_S, KEPT
from worker.domain.figures.periods import SLOT_S

OK, FAILED, SLOW, SKIPS, OPENED, REFUSALS = range(6)
"""In the order of the fields of `domain.detection.cohorts.Calls`."""
KINDS = 6
ELIGIBLE, EVERY = 0, 1
_OF_OUTCOME = {ACCEPTED: OK, SKIPPED: SKIPS, REFUSED: REFUSALS}


def ended(log: np.ndarray, seen: np.ndarray, slow_s: float) -> np.ndarray:
    """Eligible calls by look, provider and kind."""
    log = log[log["eligible"] & log["counts"]]
    shape, at = (len(seen), 2, KINDS), np.searchsorted(seen, log["ended"])
    slow = _slow(log, slow_s)
    return _counted(shape, at, log["provider"], _kinds(log)) + _counted(
        shape, at[slow], log["provider"][slow], SLOW
    )


def all_of_legacy(log: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Every call to legacy by look: failed or passed over, and those with the accepted ones."""
    log = log[(log["provider"] == LEGACY) & log["counts"]]
    kinds = _counted((len(seen), KINDS), np.searchsorted(seen, log["ended"]), _kinds(log))
    failed = kinds[:, FAILED] + kinds[:, SKIPS]
    return np.stack([failed, failed + kinds[:, OK]], axis=1)


def cohorts(log: np.ndarray, looks: np.ndarray, seen: np.ndarray, slow_s: float) -> np.ndarray:
    """Calls by look, place (the slot of the look is the last one), provider, whose, and kind."""
    every = _by_slot(log, looks, seen, slow_s)
    every[..., SLOW] = 0  # recorded of eligible ones alone
    eligible = _by_slot(log[log["eligible"]], looks, seen, slow_s)
    by_slot = np.stack([eligible, every], axis=3)
    found = np.zeros_like(by_slot)
    for later in range(KEPT):
        found[later:, KEPT - 1 - later] = by_slot[: len(looks) - later, later]
    return found


def _by_slot(log: np.ndarray, looks: np.ndarray, seen: np.ndarray, slow_s: float) -> np.ndarray:
    """What is known of a slot at the look in it and those after it, by provider and kind."""
    shape = (len(looks), KEPT, 2, KINDS)
    slot = (log["began"] // SLOT_S - looks[0] // SLOT_S).astype(int)
    old_enough = log["began"] + GRACE_S
    opens = np.searchsorted(seen, old_enough) - slot
    ends = np.searchsorted(seen, np.maximum(log["ended"], old_enough)) - slot
    who, counts, slow = log["provider"], log["counts"], _slow(log, slow_s)
    changes = _counted(shape, slot, opens, who, OPENED) - _counted(shape, slot, ends, who, OPENED)
    changes += _counted(shape, slot[counts], ends[counts], who[counts], _kinds(log)[counts])
    changes += _counted(shape, slot[slow], ends[slow], who[slow], SLOW)
    return changes.cumsum(axis=1)


def judged(log: np.ndarray, seen: np.ndarray, age_s: float, *lost: np.ndarray) -> np.ndarray:
    """Accepted eligible calls at the delivery age, by look and provider: how many of each of
    `lost` (by row of the log), and all of them."""
    accepted = log["eligible"] & (log["outcome"] == ACCEPTED)
    shape = (len(seen), 2)
    wanted = [*(accepted & each for each in lost), accepted]
    at = np.searchsorted(seen, log["ended"] + age_s)
    return np.stack(
        [_counted(shape, at[these], log["provider"][these]) for these in wanted], axis=2
    )


def _kinds(log: np.ndarray) -> np.ndarray:
    kinds = np.full(len(log), FAILED)
    for outcome, kind in _OF_OUTCOME.items():
        kinds[log["outcome"] == outcome] = kind
    return kinds


def _slow(log: np.ndarray, slow_s: float) -> np.ndarray:
    return (log["outcome"] == ACCEPTED) & (log["ended"] - log["began"] > slow_s)


def _counted(shape: tuple[int, ...], *places: np.ndarray | int) -> np.ndarray:
    """How many there are of each combination, those outside of the shape left out."""
    flat, inside = np.zeros(len(places[0]), int), np.ones(len(places[0]), bool)
    for size, at in zip(shape, places, strict=True):
        inside &= (at >= 0) & (at < size)
        flat = flat * size + at
    return np.bincount(flat[inside], minlength=math.prod(shape)).reshape(shape)
