"""Reads a form into a command.

Rules: pure and total. Whatever a browser sends gives either a command or problems; a problem names
its field, what was expected and what came, in bounded length. Numbers of recipients and flags are
never repeated. The time of issue is the caller's, never the browser's. A field that the command
does not have is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from worker.console.steering.descriptions import Kind
from worker.console.steering.shapes import Wrong, bounded, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from contracts.control import ControlCommand
    from worker.console.steering.descriptions import Description

LEAST_REASON: Final = 3
LONGEST_REASON: Final = 500
LONGEST_ID: Final = 128
_IDENT: Final = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST_ID}}}", re.ASCII)
"""A command id that can stand in an address."""
_LARGEST_VERSION: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that cannot be used."""

    field: str
    """Name in the form."""
    text: str
    """What was expected, and what came."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a form says: the fields of a command, or why they cannot be used."""

    fields: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()


def own_fields(description: Description, form: Mapping[str, str]) -> Reading:
    """Read the fields that only this command has. An empty field that may be absent is left out."""
    fields: dict[str, Any] = {}
    problems = []
    for field in description.fields:
        text = form.get(field.name, "").strip()
        if not text and not field.required:
            continue
        value = read(field.shape, text)
        if isinstance(value, Wrong):
            problems.append(Problem(field.name, value.text))
        else:
            fields[field.name] = value
    return Reading(fields, tuple(problems))


def shared_fields(description: Description, form: Mapping[str, str]) -> Reading:
    """Read reason, command id, expected version, and whether the gates are passed all the same."""
    reason = form.get("reason", "").strip()
    fields: dict[str, Any] = {"reason": reason, "command_id": form.get("commandId", "")}
    problems = [*_reason(reason), *_ident(fields["command_id"])]
    if expected := form.get("expectedVersion", "").strip():
        version = _version(expected)
        if version is None:
            got = bounded(expected)
            problems.append(Problem("expectedVersion", f"expected a version number, got {got}"))
        fields["expected_version"] = version
    if form.get("override") and "override_gates" in description.command.model_fields:
        fields["override_gates"] = reason
    return Reading(fields, tuple(problems))


def command(
    description: Description,
    form: Mapping[str, str],
    issued_at: datetime,
    environment: str | None = None,
) -> ControlCommand | tuple[Problem, ...]:
    """Build the command, or list every problem.

    Args:
        description: which command.
        form: what the browser sent.
        issued_at: the moment at which the console sends it.
        environment: what must have been typed; None: nothing.
    """
    own, shared = own_fields(description, form), shared_fields(description, form)
    problems = (*own.problems, *shared.problems, *_typed(form, environment))
    if problems:
        return problems
    try:
        return description.command(**own.fields, **shared.fields, issued_at=issued_at)
    except ValidationError as error:
        return tuple(_of_contract(error))


def must_type(description: Description, fields: Mapping[str, Any]) -> bool:
    """Whether the environment's name must be typed: there is no way back by itself."""
    without_legacy = description.name == "disable-provider" and fields.get("provider") == "legacy"
    return description.kind is Kind.NO_WAY_BACK or without_legacy


def _reason(reason: str) -> Iterator[Problem]:
    if not LEAST_REASON <= len(reason) <= LONGEST_REASON:
        expected = f"expected {LEAST_REASON} to {LONGEST_REASON} characters for the history"
        yield Problem("reason", f"{expected}, got {bounded(reason)}")


def _ident(ident: str) -> Iterator[Problem]:
    if not _IDENT.fullmatch(ident):
        expected = f"expected 1 to {LONGEST_ID} letters, digits, dots or dashes"
        yield Problem("commandId", f"{expected}, got {bounded(ident)}; open the dialog again")


def _version(text: str) -> int | None:
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST_VERSION))
    return int(text) if digits and int(text) <= _LARGEST_VERSION else None


def _typed(form: Mapping[str, str], environment: str | None) -> Iterator[Problem]:
    typed = form.get("environment", "").strip()
    if environment is not None and typed != environment:
        yield Problem("environment", f"expected {environment}, got {bounded(typed)}")


def _of_contract(error: ValidationError) -> Iterator[Problem]:
    """What the contract refuses beyond the fields' own limits, without any value."""
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        yield Problem(".".join(map(str, each["loc"]))[:60] or "command", each["msg"][:200])
