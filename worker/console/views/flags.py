"""The view "Flags": the document as a form by section, and back.

Rules: pure and total. The form changes only the values that it shows; everything else of the opened
document stays. What cannot be read as the value's type is kept as it was typed, because the worker
checks the document and says what it expected: one check, for the form, the raw document, and `ctl`.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.console import wording
from worker.console.views.flag_words import (
    LEFT_OUT,
    PHASES,
    REQUIREMENTS,
    SECTIONS,
    Shown,
    shown_as,
    words_or_name,
)
from worker.domain.migration.flags import RollbackPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PREFIX: Final = "f."
"""Of the names of the form's fields."""
_ON: Final = "on"
_DEEPEST: Final = 6


@dataclass(frozen=True, slots=True)
class FlagField:
    """One value."""

    name: str
    """In the form."""
    label: str
    hint: str
    shown: Shown
    text: str
    """The value as text; of a switch `on` or empty."""
    options: tuple[str, ...] = ()
    problem: str = ""
    """Why it cannot be used; empty: nobody says that it cannot."""


@dataclass(frozen=True, slots=True)
class FlagSection:
    """The values of one section."""

    title: str
    fields: tuple[FlagField, ...]


def sections(document: Mapping[str, Any], problems: Iterable[str] = ()) -> tuple[FlagSection, ...]:
    """The document as a form.

    Args:
        document: the flags.
        problems: what the worker says about it, one line each.
    """
    grouped: dict[str, list[FlagField]] = {}
    known = tuple(problems)
    for path, value in leaves(document):
        if path not in LEFT_OUT:
            grouped.setdefault(path.rpartition(".")[0], []).append(_field(path, value, known))
    return tuple(FlagSection(_title(path), tuple(fields)) for path, fields in grouped.items())


def leaves(
    document: Mapping[str, Any], before: str = "", depth: int = 1
) -> Iterator[tuple[str, Any]]:
    """Paths and values of a document. Overrides are one value each; what is too deep is one too.

    A name with a dot has no path: no flag is called so.
    """
    for name, value in document.items():
        path = f"{before}.{name}" if before else str(name)
        if "." in name:
            continue
        if isinstance(value, dict) and path not in LEFT_OUT and depth < _DEEPEST:
            yield from leaves(value, path, depth + 1)
        else:
            yield path, value


def edited(opened: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, Any]:
    """The opened document with the values of the form."""
    document = deepcopy(dict(opened))
    for path, value in list(leaves(opened)):
        if path not in LEFT_OUT:
            _put(document, path, _read(shown_as(path, value), form.get(PREFIX + path), value))
    return document


def as_text(document: Mapping[str, Any]) -> str:
    """The document as people edit it."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    *sections_, name = path.split(".")
    inner = document
    for each in sections_:
        inner = inner[each]
    inner[name] = value


def _read(shown: Shown, text: str | None, opened: Any) -> Any:
    """Read one value; a browser leaves out a switch that is off, and nothing else."""
    if shown is Shown.SWITCH:
        return text == _ON
    if text is None:
        return opened
    match shown:
        case Shown.NUMBER:
            return _number(text.strip())
        case Shown.LINES:
            return [line.strip() for line in text.splitlines() if line.strip()]
        case Shown.NUMBERS:
            return [_number(each) for each in text.replace(",", " ").split()]
        case _:
            return text.strip()


def _number(text: str) -> Any:
    """A number, or else the text, which the worker then refuses by name."""
    try:
        return int(text) if text.lstrip("+-").isdecimal() else _finite(float(text), text)
    except ValueError:
        return text


def _finite(number: float, text: str) -> Any:
    return number if abs(number) < float("inf") else text


def _field(path: str, value: Any, problems: tuple[str, ...]) -> FlagField:
    words, shown = words_or_name(path), shown_as(path, value)
    return FlagField(
        name=PREFIX + path,
        label=words.label,
        hint=words.hint,
        shown=shown,
        text=_text(shown, value),
        options=tuple(map(str, RollbackPolicy)) if shown is Shown.CHOICE else (),
        problem=_problem(path, problems),
    )


def _text(shown: Shown, value: Any) -> str:
    match shown:
        case Shown.SWITCH:
            return _ON if value is True else ""
        case Shown.LINES:
            return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
        case Shown.NUMBERS:
            return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        case _:
            return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _problem(path: str, problems: tuple[str, ...]) -> str:
    """The problem about a value: it begins with the end of the value's path."""
    for each in problems:
        name, _, text = each.partition(": ")
        bare = name.partition("[")[0]
        if text and (path == bare or path.endswith(f".{bare}")):
            return text
    return ""


def _title(path: str) -> str:
    top, _, rest = path.partition(".")
    if top == PHASES and rest:
        phase, _, inner = rest.partition(".")
        return f"{wording.phase(phase)}{f', {REQUIREMENTS}' if inner else ''}"
    return SECTIONS.get(path, path)
