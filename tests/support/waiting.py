"""Facts awaited with a deadline: nobody tells us of them, so they are polled."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WITHIN_S: Final = 20.0
_SHORTEST_S: Final = 0.001
_LONGEST_S: Final = 0.05
_SHARE: Final = 0.1


async def until(
    fact: Callable[[], Any],
    within_s: float = WITHIN_S,
    why: Callable[[], str | Awaitable[str]] = lambda: "",
) -> Any:
    """Wait until a fact holds; returns what it then is.

    What holds soon is seen soon; the longer it takes, the longer the pauses between two looks.

    Args:
        fact: looked at until it is true; it may be asynchronous.
        within_s: the longest to wait; a look that takes longer is given up.
        why: what to tell when it does not hold in time.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        async with asyncio.timeout(within_s) as limit:
            while not (found := await _value(fact())):
                pause_s = (clock() - began) * _SHARE
                await asyncio.sleep(min(max(pause_s, _SHORTEST_S), _LONGEST_S))
            return found
    except TimeoutError:
        if not limit.expired():  # the fact's own
            raise
    raise AssertionError(f"not so after {within_s:g} s: {await _value(why())}")


async def until_equal(
    fact: Callable[[], Any], expected: object, within_s: float = WITHIN_S
) -> None:
    """Wait until a fact, which may be asynchronous, is what is expected."""
    found: object = None

    async def same() -> bool:
        nonlocal found
        found = await _value(fact())
        return bool(found == expected)

    await until(same, within_s, lambda: f"expected {expected!r}, found {found!r} at last")


async def _value(given: Any) -> Any:
    return await given if inspect.isawaitable(given) else given
