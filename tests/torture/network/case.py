"""What a case of the network suite is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.torture.network.behind_proxies import Network


@dataclass(frozen=True)
class Case:
    """A fault that comes and goes."""

    name: str
    fault: Callable[[Network], Awaitable[None]]
    """Inflicts it; returns when it is over."""
    blurs: bool = False
    """Whether a message may be `unknown` for it: only where the answer of a provider can be lost,
    for on every other link the worker has to find out."""
    quick: bool = False
    """Whether `make test` runs it too."""
