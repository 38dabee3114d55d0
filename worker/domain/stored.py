"""Reading what another version stored: what this version knows of it.

Rules: several versions share one database, during an upgrade and after one that was taken back. So
a field this version does not know is dropped, and one that an older version did not write has the
default of its class. A word of a newer version has no meaning here: each caller says what stands
for it, and what nobody may act on is not understood.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import StrEnum

    from _typeshed import DataclassInstance

    Value = TypeVar("Value", bound=DataclassInstance)
    Word = TypeVar("Word", bound=StrEnum)
    Default = TypeVar("Default")


def read_known(kind: type[Value], stored: Mapping[str, Any], **read: Any) -> Value:
    """Make a value of its stored fields.

    Args:
        kind: a dataclass.
        stored: by field name; lists become tuples.
        read: fields that the caller has read already, in place of the stored ones.
    """
    names = {each.name for each in fields(kind)} - read.keys()
    taken = {name: frozen(value) for name, value in stored.items() if name in names}
    return kind(**taken, **read)


def frozen(value: Any) -> Any:
    """Lists as tuples, at every depth."""
    return tuple(frozen(each) for each in value) if isinstance(value, list) else value


def word(kind: type[Word], stored: object, default: Default) -> Word | Default:
    """A word of an enumeration; `default` for one that this version does not know."""
    return next((each for each in kind if each == stored), default)


def words(kind: type[Word], stored: Iterable[object]) -> tuple[Word, ...]:
    """Those words of an enumeration that this version knows."""
    return tuple(found for each in stored if (found := word(kind, each, None)) is not None)


def by_word(kind: type[Word], stored: Mapping[str, Any]) -> dict[Word, Any]:
    """A mapping by words of an enumeration, without the words this version does not know."""
    return {found: stored[found] for found in words(kind, stored)}
