"""Waits for facts about other processes by polling, because there is no notification."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_FACT_WITHIN_S: Final = 45.0
_POLL_S: Final = 0.05


class FactMissing(Exception):  # noqa: N818 - named after the missing fact
    """An expected fact did not come in time."""


async def until(fact: Callable[[], bool], what: str, within_s: float = _FACT_WITHIN_S) -> None:
    """Wait for a fact; raises `FactMissing`."""

    async def asked() -> bool:
        return fact()

    await until_asked(asked, what, within_s)


async def until_asked(
    fact: Callable[[], Awaitable[bool]], what: str, within_s: float = _FACT_WITHIN_S
) -> None:
    """Wait for a fact that must be fetched; raises `FactMissing`."""
    deadline = time.monotonic() + within_s
    while not await fact():
        if time.monotonic() > deadline:
            raise FactMissing(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(_POLL_S)
