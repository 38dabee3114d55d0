"""One event loop for all checks of a process: a new one for each would cost more than the check."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
_TURNS = 200


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def awaited(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end."""
    return _loop().run_until_complete(work)


async def settled(tasks: set[asyncio.Task[None]]) -> bool:
    """Let tasks go on until they end or wait for something from outside; whether they ended."""
    for _ in range(_TURNS):
        if not tasks:
            return True
        await asyncio.sleep(0)
    return False
