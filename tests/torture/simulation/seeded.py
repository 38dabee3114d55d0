"""Everything that is left to chance in a simulated process, drawn from one seed.

Rules: the same seed gives the same history, byte for byte. So ids, jitter and the order in which
sets of tasks are gone through come from the seed too, never from the machine.
"""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def seeded(seed: str) -> Iterator[random.Random]:
    """Let the process draw all its randomness from `seed`; yields a generator for the caller."""
    before, state = os.urandom, random.getstate()
    os.urandom = random.Random(f"ids of {seed}").randbytes
    random.seed(f"jitter of {seed}")
    try:
        yield random.Random(f"world of {seed}")
    finally:
        os.urandom = before
        random.setstate(state)
