"""Recognises writes that a driver sends again.

Rules:
- A session counts its operations. A statement of the operation it is at, which has been carried
  out, is not carried out again: its outcome is returned. An older operation is refused.
- These notes are written with the write itself. A failover that undoes the write undoes its note.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tests.torture.simulation.database.errors import ServerError

if TYPE_CHECKING:
    from tests.torture.simulation.database.statements import Outcome

_TOO_OLD: Final = 225


class Transaction(NamedTuple):
    """Names one retryable operation."""

    session: tuple[int, int]
    number: int


class _Note(NamedTuple):
    position: int
    outcome: Outcome


class Sessions:
    """What the server notes about retryable operations."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, int], int] = {}
        self._notes: dict[tuple[int, int], dict[int, _Note]] = {}

    def begin(self, transaction: Transaction) -> None:
        """Begin an operation, or begin it again."""
        last = self._numbers.get(transaction.session, -1)
        if transaction.number < last:
            raise ServerError(_TOO_OLD, "a newer operation has begun in this session")
        if transaction.number > last:
            self._numbers[transaction.session] = transaction.number
            self._notes[transaction.session] = {}

    def outcome(self, transaction: Transaction, index: int) -> Outcome | None:
        """The outcome of a statement; None: it was not carried out."""
        note = self._notes[transaction.session].get(index)
        return note.outcome if note else None

    def note(self, transaction: Transaction, index: int, position: int, outcome: Outcome) -> None:
        """Note a statement that wrote."""
        self._notes[transaction.session][index] = _Note(position, outcome)

    def undo(self, position: int) -> None:
        """Forget the statements that wrote after a position."""
        for session, notes in self._notes.items():
            kept = {index: note for index, note in notes.items() if note.position <= position}
            self._notes[session] = kept
