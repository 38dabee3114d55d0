"""What somebody's flags would change, and what others changed meanwhile.

Rules: pure. `expectedVersion` is the version that was opened. If others changed the flags since,
both changes are shown, and saving takes a look at them first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker.console.steering.effects import effects
from worker.console.views.flags import FlagSection, as_text, sections
from worker.domain.migration.flags_differences import differences
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.console.steering.dialog import Previewed
    from worker.domain.migration.effect import Names


@dataclass(frozen=True, slots=True)
class Edit:
    """A document that somebody edits."""

    opened: Mapping[str, Any]
    version: int | None
    """The version that was opened."""
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FlagChanges:
    """What a check of an edit says."""

    problems: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    """From what is in force to the edit."""
    lines: tuple[str, ...] = ()
    """What it moves."""
    theirs: tuple[str, ...] = ()
    """What others changed since it was opened; empty: nothing."""
    text: str = ""
    """The document as it would be sent."""
    version: int | None = None
    """The version that saving expects."""
    silence: str = ""
    """Why it could not be checked; empty: it was."""

    @property
    def can_save(self) -> bool:
        """Whether there is something to save, and nothing is wrong with it."""
        return bool(self.differences) and not self.problems and not self.silence


@dataclass(frozen=True, slots=True)
class FlagsPage:
    """The view."""

    sections: tuple[FlagSection, ...]
    opened: str
    """The opened document, which goes with every check."""
    json: str
    """The document as JSON, as it is edited."""
    version: int | None
    """The version that was opened; None: nothing is known."""
    checked: FlagChanges


def flags_page(edit: Edit, checked: FlagChanges, typed: str = "") -> FlagsPage:
    """The view of an edit; `typed` is the JSON as it was typed, which may be none."""
    return FlagsPage(
        sections=sections(edit.document, checked.problems),
        opened=as_text(edit.opened),
        json=typed or as_text(edit.document),
        version=edit.version,
        checked=checked,
    )


def wrong(*problems: str) -> FlagChanges:
    """It is no document at all."""
    return FlagChanges(problems=problems)


def not_checked(why: str) -> FlagChanges:
    """Nobody could check it."""
    return FlagChanges(silence=why)


def changes(edit: Edit, previewed: Previewed, names: Names) -> FlagChanges:
    """What the worker says about an edit."""
    answer, state = previewed.answer, previewed.reply.state
    in_force = state.flags if state is not None else edit.opened
    moved_on = state is not None and state.version != edit.version
    theirs = differences(dict(edit.opened), dict(in_force)) if moved_on else []
    return FlagChanges(
        problems=_problems(previewed),
        differences=tuple(differences(dict(in_force), dict(edit.document))),
        lines=effects(answer, state, names) if answer.after is not None else (),
        theirs=tuple(theirs),
        text=as_text(edit.document),
        version=state.version if state is not None else edit.version,
    )


def _problems(previewed: Previewed) -> tuple[str, ...]:
    """What is wrong with the document; shut gates are no problem of the document."""
    answer = previewed.answer
    if answer.accepted or answer.code == ReplyCode.GATES:
        return ()
    return tuple(answer.problems) or (answer.text,)
