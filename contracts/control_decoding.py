"""Decodes the bytes of a command or query into its model, or says why that is impossible.

Rules: a field that is unknown or given twice is refused, and so is a name that differs from the
routing key. The error carries the command id if it can be read.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from contracts import documents, problems
from contracts.codec import DecodeError, read_object
from contracts.control import Command, Query
from contracts.model import LONGEST_ID

_COMMAND: Final[TypeAdapter[Command]] = TypeAdapter(Annotated[Command, Field(discriminator="name")])
_QUERY: Final[TypeAdapter[Query]] = TypeAdapter(Annotated[Query, Field(discriminator="name")])


def decode_command(body: bytes, name: str) -> Command:
    """Read a command that was published as `control.command.<name>`.

    Raises:
        DecodeError: not such a command; it carries the command id if it can be read.
    """
    command: Command = _decode(_COMMAND, body, name)
    return command


def decode_query(body: bytes, name: str) -> Query:
    """Read a query that was published as `control.query.<name>`. Raises as `decode_command`."""
    query: Query = _decode(_QUERY, body, name)
    return query


def _decode(adapter: TypeAdapter[Any], body: bytes, name: str) -> Any:
    data = read_object(body)
    ident = data.get("commandId", data.get("command_id"))
    known = ident if isinstance(ident, str) and 0 < len(ident) <= LONGEST_ID else None
    if data.setdefault("name", name) != name:
        expected = f"{problems.name(name)} as in the routing key"
        problem = problems.problem("name", expected, problems.name(data["name"]))
        raise DecodeError("name and routing key differ", known, (problem,))
    _require_each_once(body, known)
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        refused = problems.refusal((problems.of_model(each, "name") for each in errors), known)
        reason = f"not understood: {refused.reason}"
        raise DecodeError(reason, known, refused.problems) from None


def _require_each_once(body: bytes, known: str | None) -> None:
    try:
        twice = documents.repeated(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise DecodeError("not JSON", known, ("body: expected JSON in UTF-8",)) from None
    if twice:
        refused = problems.refusal(map(documents.given_twice, twice), known)
        raise DecodeError(f"not understood: {refused.reason}", known, refused.problems)
