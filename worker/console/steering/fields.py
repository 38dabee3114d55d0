"""The fields of a dialog, as a form shows them.

Rules: pure. A field that the dialog opens with is not shown, but goes with the form; if the dialog
opens without it, a person fills it in. What came is shown again, also if it cannot be used, so that
nobody types twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console.steering.descriptions import LONGEST, Shape, said
from worker.console.steering.shapes import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.console.steering.descriptions import Field
    from worker.console.steering.dialog import Opening

_INPUTS: Final[Mapping[Shape, str]] = {
    Shape.PERCENTAGE: "number",
    Shape.PROVIDER: "choice",
    Shape.NUMBER: "tel",
}
"""How a field is drawn; any other is a line of text."""
KNOWN_GOOD: Final = "last-known-good"


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field."""

    name: str
    label: str
    drawn_as: str
    """`hidden`, `text`, `number`, `tel` or `choice`."""
    value: str
    longest: int
    required: bool
    hint: str
    problem: str
    """Why what came cannot be used; empty: it can."""
    options: tuple[tuple[str, str], ...]
    """Value and label of each choice, or of what is offered."""


def field_views(opening: Opening) -> tuple[FieldView, ...]:
    """The fields of the command, in the order of the description."""
    problems = {problem.field: problem.text for problem in opening.problems}
    return tuple(_view(each, opening, problems) for each in opening.description.fields)


def _view(field: Field, opening: Opening, problems: Mapping[str, str]) -> FieldView:
    names = {"target": opening.names.target, "legacy": opening.names.legacy}
    value = opening.form.get(field.name, "")
    is_hidden = not field.filled_in and bool(value or not field.required)
    return FieldView(
        name=field.name,
        label=said(field.label, names),
        drawn_as="hidden" if is_hidden else _INPUTS.get(field.shape, "text"),
        value=value,
        longest=LONGEST[field.shape],
        required=field.required,
        hint=field.hint,
        problem=problems.get(field.name, ""),
        options=tuple(_options(field, opening, names)),
    )


def _options(field: Field, opening: Opening, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if field.shape is Shape.PROVIDER:
        yield from ((role, names[role]) for role in PROVIDERS)
    if field.name == "to" and opening.state is not None:
        yield from ((name, f"version {at}") for name, at in opening.state.backups.items())
        yield KNOWN_GOOD, "30 minutes without an alarm"
