"""Callbacks in the order in which they were added; the library calls them in no order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Callbacks:
    """Called with their owner and an error.

    Args:
        owner: first argument of each call.
    """

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self._calls: list[Callable[..., Any]] = []

    def add(self, call: Callable[..., Any], *, weak: bool = False) -> None:
        """Add a call; weak ones are the library's own, which nobody listens to."""
        if not weak:
            self._calls.append(call)

    def discard(self, call: Callable[..., Any]) -> None:
        """Remove a call, if it is there."""
        if call in self._calls:
            self._calls.remove(call)

    def call_soon(self, error: BaseException | None) -> None:
        """Have all called in the next turn of the loop, as the library does."""
        loop = asyncio.get_running_loop()
        for call in self._calls:
            loop.call_soon(call, self._owner, error)
