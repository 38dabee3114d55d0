"""Options that many commands share, written once.

Rules: a command function takes one of the option groups first and its own parameters after it; the
command line shows its own first. Groups widen: whoever changes something also asks.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, fields
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Concatenate,
    ParamSpec,
    TypeVar,
    get_type_hints,
)

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Of everything that is asked."""

    as_json: Annotated[
        bool, typer.Option("--json", help="The reply as it came, one JSON object a line.")
    ] = False
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to try before exit code 3.")] = (
        10.0
    )
    login: Annotated[
        str,
        typer.Option("--as", envvar="SMS_CTL_USER", help="Broker user; see AMQP_URL_<USER>."),
    ] = "administrator"


@dataclass(frozen=True, kw_only=True)
class Changing(Asking):
    """Of what changes something."""

    reason: Annotated[str | None, typer.Option("--reason", "-r", help="For the history.")] = None
    ident: Annotated[
        str | None, typer.Option("--id", help="Command id, to repeat a command; default: new.")
    ] = None
    expect: Annotated[
        int | None, typer.Option(min=0, help="Refuse if another version is in force.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Moving(Changing):
    """Of what moves traffic."""

    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when every live replica has applied it.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Raising(Moving):
    """Of what may raise the target's share."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the gates; change nothing.")] = (
        False
    )
    override_gates: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Pass in spite of the gates, on record."),
    ] = None


def options(group: type[T]) -> Callable[[Callable[Concatenate[T, P], None]], Callable[..., None]]:
    """Turn a function whose first parameter is a `group` into one typer can read."""
    taken = {field.name for field in fields(group)}  # type: ignore[arg-type] # groups are dataclasses

    def wrap(function: Callable[Concatenate[T, P], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def command(**given: Any) -> None:
            own = {name: value for name, value in given.items() if name not in taken}
            shared = {name: value for name, value in given.items() if name in taken}
            function(group(**shared), **own)  # type: ignore[call-arg] # `own` is the rest of them

        parameters = [*_parameters(function)[1:], *_parameters(group)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # as documented
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        del command.__wrapped__
        return command

    return wrap


def _parameters(of: Callable[..., Any]) -> list[inspect.Parameter]:
    """Parameters by keyword, with annotations evaluated."""
    hints = get_type_hints(of, include_extras=True)
    return [
        each.replace(annotation=hints[each.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for each in inspect.signature(of).parameters.values()
    ]
