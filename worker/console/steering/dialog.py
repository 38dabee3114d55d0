"""What a dialog asks before a command is given.

Rules: pure. A dialog says object, from, to, how many messages move, what follows and how to undo.
The button is off as long as the command would be refused, or as long as it goes up and its effect
is not known; then the dialog says why. An emergency rollback depends on nothing and is never off.
Gates are passed only in a disclosure of its own, by administrators, and never by the first button.
What goes up carries the version that the person saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.console.steering.descriptions import Kind, Shape, said
from worker.console.steering.effects import effects
from worker.console.steering.fields import FieldView, field_views
from worker.console.steering.form import must_type
from worker.console.steering.gate_lines import GateLine, gate_lines, shut_in_words
from worker.console.steering.words import words_of
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.answers import PreviewAnswer
    from contracts.control import ControlReply
    from contracts.control_views import StateView
    from worker.console.steering.descriptions import Description
    from worker.console.steering.form import Problem
    from worker.console.viewer import Viewer
    from worker.domain.migration.effect import Names

EMERGENCY_REASON: Final = "emergency rollback from the console"
_LONGEST_VERSION: Final = 18
"""Digits; a document is edited for a while, so its form carries the version that was opened."""
_RAISING: Final = frozenset({Kind.UP, Kind.NO_WAY_BACK})


@dataclass(frozen=True, slots=True)
class Previewed:
    """What the worker said a command would lead to."""

    reply: ControlReply
    answer: PreviewAnswer


@dataclass(frozen=True, slots=True)
class Opening:
    """What a dialog is made from."""

    description: Description
    viewer: Viewer
    names: Names
    ident: str
    """The command id of this dialog."""
    form: Mapping[str, str]
    """What is filled in, by the field's name."""
    fields: Mapping[str, Any]
    """The same as values, as far as they can be read."""
    problems: tuple[Problem, ...] = ()
    state: StateView | None = None
    """The state in force, if it is known."""
    preview: Previewed | None = None
    silence: str = ""
    """Why the effect is not known; empty: nobody asked, or it is known."""
    about: tuple[str, ...] = ()
    """The object of the command, in words, from what is known."""
    reasons: tuple[str, ...] = ()
    """Reasons that this person gave lately."""


@dataclass(frozen=True, slots=True)
class Dialog:
    """What a dialog shows before a command is given."""

    command: str
    ident: str
    title: str
    kind: Kind
    lines: tuple[str, ...]
    """Effect, and what follows."""
    differences: tuple[str, ...]
    """Of the flags, one line each."""
    gates: tuple[GateLine, ...]
    undo: str
    fields: tuple[FieldView, ...]
    reason: str
    reasons: tuple[str, ...]
    problems: Mapping[str, str]
    """By the field's name in the form."""
    button: str
    is_off: bool
    off_because: str
    """Why the button is off; empty: it is on."""
    may_override: bool
    """Whether the shut gates can be passed all the same, by this person."""
    expected_version: int | None
    environment: str
    """What must be typed; empty: nothing."""
    shows_effect: bool
    """Whether a person fills something in on which the effect depends."""
    is_unanswered: bool
    """Whether nobody answered what it leads to: that is asked again."""


def dialog(opening: Opening) -> Dialog:
    """Make the dialog."""
    description, preview = opening.description, opening.preview
    words = words_of(opening)
    gates = gate_lines(preview.reply.gates) if preview else ()
    because = _off_because(opening, gates)
    proposes = preview is not None and preview.answer.code == ReplyCode.PROPOSED
    return Dialog(
        command=description.name,
        ident=opening.ident,
        title=said(description.title, words),
        kind=_kind(opening),
        lines=_lines(opening, words),
        differences=tuple(preview.answer.differences) if preview else (),
        gates=gates,
        undo=said(description.undo, words),
        fields=field_views(opening),
        reason=opening.form.get("reason", _usual_reason(description)),
        reasons=opening.reasons,
        problems={problem.field: problem.text for problem in opening.problems},
        button="Propose the move" if proposes else _button(opening, words),
        is_off=bool(because),
        off_because=because,
        may_override=_may_override(opening),
        expected_version=_expected_version(opening),
        environment=opening.viewer.environment if must_type(description, opening.fields) else "",
        shows_effect=description.moves and any(each.filled_in for each in description.fields),
        is_unanswered=preview is None and opening.silence != "",
    )


def _kind(opening: Opening) -> Kind:
    """How careful it is: what must be typed has no way back, and its effect says up or down."""
    kind = opening.description.kind
    if must_type(opening.description, opening.fields):
        return Kind.NO_WAY_BACK
    if kind is Kind.UP and opening.preview is not None and not opening.preview.answer.upward:
        return Kind.DOWN
    return kind


def _lines(opening: Opening, words: Mapping[str, object]) -> tuple[str, ...]:
    effect: tuple[str, ...] = ()
    if opening.preview is not None:
        effect = effects(opening.preview.answer, opening.preview.reply.state, opening.names)
    follows = said(opening.description.follows, words)
    return tuple(filter(None, (*opening.about, *effect, follows)))


def _button(opening: Opening, words: Mapping[str, object]) -> str:
    description = opening.description
    knows_where = opening.preview is not None and opening.preview.answer.after is not None
    return said((knows_where and description.button_to) or description.button, words)


def _off_because(opening: Opening, gates: tuple[GateLine, ...]) -> str:
    kind, preview = opening.description.kind, opening.preview
    if kind is Kind.EMERGENCY:
        return ""
    if preview is not None and not preview.answer.accepted:
        by_gates = preview.answer.code == ReplyCode.GATES
        return (by_gates and shut_in_words(gates)) or preview.answer.text
    if preview is None and kind in _RAISING:
        return opening.silence or "Fill in the fields to see what it does."
    return ""


def _may_override(opening: Opening) -> bool:
    has_field = "override_gates" in opening.description.command.model_fields
    return has_field and opening.preview is not None and opening.preview.answer.overridable


def _expected_version(opening: Opening) -> int | None:
    """The version that the person saw, where another one would change what the command means."""
    preview, description = opening.preview, opening.description
    opened = opening.form.get("expectedVersion", "")
    if any(each.shape is Shape.DOCUMENT for each in description.fields) and opened:
        return int(opened) if opened.isdecimal() and len(opened) <= _LONGEST_VERSION else None
    seen = preview.reply.version if preview else opening.state.version if opening.state else None
    upward = preview is not None and preview.answer.upward
    return seen if description.relative or upward else None


def _usual_reason(description: Description) -> str:
    return EMERGENCY_REASON if description.kind is Kind.EMERGENCY else ""
