"""What a client asks the server for, as it arrives there.

Rules: documents in it are the server's (`values.carried`) and are never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.torture.simulation.database.values import Document


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert a document."""

    document: Document


@dataclass(frozen=True, slots=True)
class Update:
    """Change one document or all that match."""

    query: Mapping[str, Any]
    update: Any
    upsert: bool = False
    many: bool = False
    order: Sequence[tuple[str, int]] = ()
    returned: bool = False
    """Whether to return the document as it was before."""


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace a document as a whole."""

    query: Mapping[str, Any]
    document: Document
    upsert: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one document or all that match."""

    query: Mapping[str, Any]
    many: bool = False


class Outcome(NamedTuple):
    """What one statement did."""

    inserted: int = 0
    matched: int = 0
    modified: int = 0
    deleted: int = 0
    upserted: Any = None
    """Id of the document that an upsert inserted."""
    before: Document | None = None


class Refusal(NamedTuple):
    """Why one statement did nothing."""

    details: Mapping[str, Any]


class Written(NamedTuple):
    """The primary's answer to a write, before a majority has it."""

    answers: Sequence[Outcome | Refusal]
    """What became of each statement, up to the first refused one if they are ordered."""
    term: int
    position: int
    """All writes up to this position of the log must be on a majority before it is acknowledged."""


@dataclass(frozen=True, slots=True)
class Find:
    """Read the documents that match."""

    query: Mapping[str, Any]
    projection: Mapping[str, Any] | None = None
    order: Sequence[tuple[str, int]] = ()
    skip: int = 0
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Run a pipeline."""

    pipeline: Sequence[Document]
