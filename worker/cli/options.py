"""Declares once the options that many commands share.

Rules: the first parameter of a command function is an option group; its own parameters follow. The
command line shows the own ones first. Each group extends the one before: a command that changes
something has all options of a command that asks.
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
    """Options of every command that asks the worker."""

    as_json: Annotated[
        bool, typer.Option("--json", help="Print the reply as one JSON object per line.")
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
    """Options of commands that change something."""

    reason: Annotated[
        str | None, typer.Option("--reason", "-r", help="Why; kept in the history.")
    ] = None
    ident: Annotated[
        str | None, typer.Option("--id", help="Command id, to repeat a command; default: new.")
    ] = None
    expect: Annotated[
        int | None, typer.Option(min=0, help="Refuse unless this version is in force.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Moving(Changing):
    """Options of commands that move traffic."""

    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when every live replica has applied it.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Raising(Moving):
    """Options of commands that may raise the target's share."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the gates; change nothing.")] = (
        False
    )
    override_gates: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Ignore the gates for this reason, which is recorded."),
    ] = None


def options(group: type[T]) -> Callable[[Callable[Concatenate[T, P], None]], Callable[..., None]]:
    """Turn a function whose first parameter is a `group` into one that typer can read."""
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


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters as keyword-only ones, with evaluated annotations."""
    hints = get_type_hints(function, include_extras=True)
    return [
        each.replace(annotation=hints[each.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for each in inspect.signature(function).parameters.values()
    ]
