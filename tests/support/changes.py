"""Changes by name, as tests ask for them."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from worker.domain.migration import moves, settings_changes, side_changes
from worker.domain.migration.access import AccessRole
from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.changes import Change, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_REQUEST: Final = frozenset(each.name for each in fields(Request))


def _kinds(kind: type[Change]) -> Iterator[type[Change]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)


MODULES: Final = (moves, settings_changes, side_changes)
KINDS: Final = {
    kind.name: kind
    for kind in _kinds(Change)
    if "name" in kind.__dict__ and kind.__module__ in {each.__name__ for each in MODULES}
}
"""The class of each change."""


def change(name: str, **given: Any) -> Change:
    """A change an administrator asks for, unless `by`, `role` or the like say otherwise."""
    asked = {"by": "ann", "role": AccessRole.ADMINISTRATOR, "reason": "because"}
    asked |= {key: value for key, value in given.items() if key in OF_REQUEST}
    own = {key: value for key, value in given.items() if key not in OF_REQUEST}
    return KINDS[ChangeName(name)](Request(**asked), **own)
