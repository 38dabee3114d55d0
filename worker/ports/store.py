"""What a store may answer instead of a value."""

from __future__ import annotations

from typing import Protocol


class StoreUnavailable(Exception):  # noqa: N818 - names the condition its catcher acts on
    """The store did not answer."""


class UnreadableDocument(StoreUnavailable):
    """The store answered what this version cannot read: a newer one wrote it.

    To whoever needs the answer it is as good as none: nobody acts on half of a state.
    """


class WriteConflict(Exception):  # noqa: N818 - a result of compare-and-set, not a failure
    """Another entry took the place in the control log."""


class StoreListener(Protocol):
    """Whoever is told how the store answers."""

    def away(self, reason: str) -> None:
        """It did not answer."""
        ...

    def recovered(self) -> None:
        """It answered, whether or not it was away before."""
        ...
