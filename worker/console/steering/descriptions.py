"""What a command is to the person who gives it: one description for each command.

Rules: pure. Texts hold placeholders for the names of the providers (`{target}`, `{legacy}`), for
where the command leads (`{phase}`, `{share}`) and for where it starts (`{before}`, `{version}`);
`said` fills them in. A button says a verb and an object, never `OK`. What opens a dialog ends with
an ellipsis.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.control import ControlCommand


class Kind(StrEnum):
    """How careful a dialog is."""

    EMERGENCY = "emergency"
    """Nothing is asked before it opens, and nothing has to be typed."""
    DOWN = "down"
    """A reason and one button."""
    UP = "up"
    """Shows the gates; while one is shut, the button is off."""
    NO_WAY_BACK = "no way back"
    """Like `UP`, and the name of the environment must be typed."""
    BESIDE = "beside"
    """Moves no messages: a reason and one button."""


class Shape(StrEnum):
    """What a field holds."""

    PERCENTAGE = "percentage"
    VERSION = "version"
    BRANCH = "branch"
    LINE = "line"
    USER = "user"
    PROVIDER = "provider"
    NUMBER = "number"
    SENDER = "sender"
    DOCUMENT = "document"


LONGEST: Final[Mapping[Shape, int]] = {
    Shape.PERCENTAGE: 3,
    Shape.VERSION: 19,
    Shape.BRANCH: 20,
    Shape.LINE: 128,
    Shape.USER: 128,
    Shape.PROVIDER: 32,
    Shape.NUMBER: 128,
    Shape.SENDER: 20,
    Shape.DOCUMENT: 65_536,
}
"""Most characters that a field takes."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a command beside its reason."""

    name: str
    """Name in the command and in the form."""
    label: str
    shape: Shape
    required: bool = True
    filled_in: bool = True
    """Whether a person fills it in; otherwise the dialog opens with it and does not show it."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """One command, for people."""

    command: type[ControlCommand]
    opens: str
    """On the button that opens the dialog."""
    title: str
    button: str
    """On the button that gives the command."""
    kind: Kind
    undo: str
    done: str
    """What somebody did who gave it: `amina {done} 8 s ago`."""
    button_to: str = ""
    """The same as `button` where it is known where the command leads; empty: `button`."""
    follows: str = ""
    """What happens then."""
    fields: tuple[Field, ...] = ()
    relative: bool = False
    """Whether its meaning depends on the state that the person saw, so that the version is sent."""
    by_effect: bool = False
    """Whether its effect decides who may give it, so that an operator may try."""

    @property
    def name(self) -> str:
        """Name of the command."""
        return str(self.command.model_fields["name"].default)

    @property
    def moves(self) -> bool:
        """Whether it may move messages, so that its effect is asked for."""
        return self.kind is not Kind.BESIDE


def said(text: str, words: Mapping[str, object]) -> str:
    """Fill in the placeholders that are known."""
    for name, value in words.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text
