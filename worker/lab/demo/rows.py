"""A row of the verdict."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One row, which checks one promise."""

    promise: str
    measured: str
    holds: bool | None = None
    """Whether the promise held; None: the row is only a figure."""
    broken_by: tuple[str, ...] = ()
    """Ids of the messages that broke the promise."""
