"""What the judge says: which invariant is broken, by what, and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One broken invariant."""

    invariant: str
    """Its name, as the tables name it."""
    about: str
    """The message id, event id, queue or number of an entry that broke it."""
    what: str
    """What was expected and what came."""

    def __str__(self) -> str:
        """In one line."""
        return f"{self.invariant}: {self.about}: {self.what}"
