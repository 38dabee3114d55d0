"""Facts awaited with a deadline, and recipients nobody else has."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from typing import TYPE_CHECKING, Any, Final

from worker.domain.migration.routing import bucket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_POLL_S: Final = 0.05
_numbers = itertools.count(1)


def new_number() -> str:
    """A Zambian mobile number nobody else in this run has."""
    return f"+26097{next(_numbers):07d}"


def number_for(provider: str, percentage: int = 50) -> str:
    """A new number that the percentage assigns to this provider."""
    while True:
        number = new_number()
        if (bucket(number) < percentage) == (provider == "africastalking"):
            return number


async def until(
    fact: Callable[[], bool | Awaitable[bool]],
    within_s: float,
    why: Callable[[], str | Awaitable[str]] = lambda: "",
) -> None:
    """Wait for a fact about other processes: nobody tells us, so it is polled."""
    ends = time.monotonic() + within_s
    while not await _value(fact()):
        if time.monotonic() > ends:
            raise AssertionError(f"not so after {within_s:g} s: {await _value(why())}")
        await asyncio.sleep(_POLL_S)


async def _value(given: Any) -> Any:
    return await given if inspect.isawaitable(given) else given
