"""Errors that a store raises instead of returning a value."""

from __future__ import annotations

from typing import Protocol


class StoreUnavailable(Exception):  # noqa: N818 - names the condition its catcher acts on
    """The store did not answer."""


class UnreadableDocument(StoreUnavailable):
    """The answer cannot be read by this version, because a newer one wrote it.

    It counts as no answer, because nothing may act on half of a state.
    """


class WriteConflict(Exception):  # noqa: N818 - a result of compare-and-set, not a failure
    """Another entry has the number in the control log."""


class StoreListener(Protocol):
    """Called with how the store answers."""

    def away(self, reason: str) -> None:
        """It did not answer."""
        ...

    def recovered(self) -> None:
        """It answered, whether or not it was away before."""
        ...
