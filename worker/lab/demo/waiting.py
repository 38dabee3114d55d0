"""Waiting for facts about other processes: nobody tells us, so they are polled."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_FACT_WITHIN_S: Final = 45.0
_POLL_S: Final = 0.05


class FactMissing(Exception):  # noqa: N818 - what it says is all that matters
    """Something that had to happen did not happen in time."""


async def until(fact: Callable[[], bool], what: str, within_s: float = _FACT_WITHIN_S) -> None:
    """Wait for a fact; raises `FactMissing`."""

    async def asked() -> bool:
        return fact()

    await until_asked(asked, what, within_s)


async def until_asked(
    fact: Callable[[], Awaitable[bool]], what: str, within_s: float = _FACT_WITHIN_S
) -> None:
    """Wait for a fact that somebody else knows; raises `FactMissing`."""
    deadline = time.monotonic() + within_s
    while not await fact():
        if time.monotonic() > deadline:
            raise FactMissing(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(_POLL_S)
