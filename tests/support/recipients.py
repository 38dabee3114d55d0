"""Recipients nobody else has."""

from __future__ import annotations

import itertools

from worker.domain.migration.routing import bucket

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
