"""Words that are stored or published, each with what it means: code and documentation share them.

Rules: a registry is one enumeration of such words; its table in the documentation is made of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Word = TypeVar("Word", bound="DocumentedWord")


class DocumentedWord(StrEnum):
    """A word with its meaning."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        """Make a member of `word, meaning`."""
        return with_meaning(cls, word, meaning)


def with_meaning(kind: type[Word], word: str, meaning: str) -> Word:
    """A member of an enumeration of documented words, for one that adds facts of its own."""
    member = str.__new__(kind, word)
    member._value_ = word
    member.meaning = meaning
    return member


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as GitHub shows it; nothing in a cell can end the cell."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
