"""Keeps the memory of a process private and small.

Rules: the collector is told to run seldom (`start_and_stop`), which is right for workers: their
records are freed without it. Closed connections are not, and what they leave would stay for hours
in a process that does little. So it is collected now and then, and free pages go back to the
system.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
from typing import TYPE_CHECKING, Final

from worker.service import Loop

if TYPE_CHECKING:
    from worker.service import Background

EVERY_S: Final = 20.0
_PR_SET_DUMPABLE: Final = 4
"""prctl(2)."""


def keep_private() -> None:
    """Make no core dumps, and let no other process of this user read the memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class Tidying(Loop):
    """Gives back memory that is free.

    Args:
        background: runs it.
    """

    def __init__(self, background: Background) -> None:
        super().__init__(background, "tidying")

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            await asyncio.sleep(EVERY_S)
            give_back()


def give_back() -> None:
    """Collect what nobody refers to, and give free pages back; the latter needs glibc."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
