"""A row of the verdict."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One promise."""

    promise: str
    measured: str
    holds: bool | None = None
    """None: a figure to look at, no promise."""
    broken_by: tuple[str, ...] = ()
    """Message ids."""
