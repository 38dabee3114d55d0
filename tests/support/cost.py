"""What a call costs, as a ratio to another one measured beside it.

Rule: never an absolute time, and never one run: a busy machine makes any single one long.
"""

from __future__ import annotations

import gc
from time import process_time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS: Final = 5
_LEAST_S: Final = 1e-6


def ratio(call: Callable[[], object], usual: Callable[[], object]) -> float:
    """CPU time of a call divided by that of the usual one: the quickest of some runs of each.

    The garbage collector is off meanwhile: what it costs depends on the tests that ran before.
    """
    gc.collect()
    gc.disable()
    try:
        times = [(_seconds(call), _seconds(usual)) for _ in range(_ROUNDS)]
    finally:
        gc.enable()
    return min(mine for mine, _ in times) / max(min(other for _, other in times), _LEAST_S)


def _seconds(call: Callable[[], object]) -> float:
    begins = process_time()
    call()
    return process_time() - begins
