"""Turns options into a command, and a reply into an exit code.

Rules: exit codes are part of the interface: 0 accepted, 1 refused (by the worker or the broker),
2 wrong usage, 3 no answer. A command that moves traffic is confirmed by a person or by `--yes`. If
no person can be asked, a missing `--yes` or `--reason` is wrong usage, never a guess. An emergency
rollback sends no query first; it asks only the person.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from uuid import uuid4

import typer
from pydantic import ValidationError

from contracts.control import ControlCommand, EmergencyRollback, Status
from worker.broker.applied import applied_by_all
from worker.broker.control_client import ControlClient, NoAnswer, NotAllowed
from worker.cli.addresses import amqp_url
from worker.cli.ctl.foretold import foretold
from worker.cli.ctl.views import clean, print_reply
from worker.cli.options import Moving, Raising
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from contracts.control import ControlQuery, ControlReply
    from contracts.control_views import StateView
    from worker.cli.options import Asking, Changing

ACCEPTED: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
NO_ANSWER: Final = 3
_OPEN: Final = ("pass", "not applicable")
_LONGEST_SHOWN: Final = 40
_DRY_RUN_REASON: Final = "dry run"
_SPELLED: Final = {"command_id": "--id", "reason": "--reason", "override_gates": "--override-gates"}
T = TypeVar("T", bound="ControlCommand | ControlQuery")


def query(given: Asking, kind: type[ControlQuery], **fields: Any) -> ControlReply:
    """Ask and return the accepted reply; end the program if there is none."""
    asked = build(kind, command_id=str(uuid4()), **fields)
    reply = send(given, asked)
    if reply.verdict == "refused":
        print_reply(reply, as_json=given.as_json)
        raise typer.Exit(REFUSED)
    return reply


def in_force(given: Asking) -> StateView:
    """Return the state that is in force now."""
    state = query(given, Status).state
    if state is None:
        fail("nothing is in force yet: start a worker first", REFUSED)
    return state


def carry_out(
    given: Changing,
    kind: type[ControlCommand],
    question: str,
    *,
    seen: StateView | None = None,
    relative: bool = False,
    **fields: Any,
) -> NoReturn:
    """Confirm, send, show, end the program.

    Args:
        given: options.
        kind: type of the command.
        question: what is about to be done, for the person who confirms it.
        seen: the state that the person decided on, if it was read.
        relative: whether the meaning of the command depends on the state in force; then that state
            is read first.
        fields: the fields that only this command has.
    """
    reason = _reason(given)
    expected = given.expect
    if relative and seen is None and expected is None:
        seen = in_force(given)
    if seen is not None and expected is None:
        expected = seen.version
    if isinstance(given, Raising):
        fields |= {"dry_run": given.dry_run, "override_gates": given.override_gates}
    asked = build(
        kind,
        command_id=given.ident or str(uuid4()),
        issued_at=datetime.now(UTC),
        reason=reason,
        expected_version=expected,
        **fields,
    )
    _confirm(given, asked, question, seen)
    asked = asked.model_copy(update={"issued_at": datetime.now(UTC)})  # a person may take long
    wait = isinstance(given, Moving) and given.wait and not is_dry(given)
    raise typer.Exit(_sent(given, asked, wait=wait))


def is_dry(given: Asking) -> bool:
    """Whether the command must change nothing."""
    return isinstance(given, Raising) and given.dry_run


def _sent(given: Asking, asked: ControlCommand, *, wait: bool) -> int:
    reply = send(given, asked)
    print_reply(reply, as_json=given.as_json)
    if reply.verdict == "refused" or any(
        each.verdict not in _OPEN for each in reply.gates if reply.code == ReplyCode.DRY_RUN
    ):
        return REFUSED
    if wait and reply.version is not None:
        with _failures():
            asyncio.run(_wait(given, reply.version))
    return ACCEPTED


async def _wait(given: Asking, version: int) -> None:
    async with ControlClient(amqp_url(given.login)) as client:
        names = await applied_by_all(client, version, given.timeout)
    typer.echo(f"applied by all of {len(names)} live replicas", err=given.as_json)


def build(kind: type[T], **fields: Any) -> T:
    """Build the model; if the contract forbids it, name every problem and end the program."""
    try:
        return kind(**fields)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            where = ".".join(map(str, each["loc"]))
            typer.echo(clean(f"{_SPELLED.get(where, where)}: {_problem(each)}"), err=True)
        raise typer.Exit(USAGE) from None


def _problem(error: ErrorDetails) -> str:
    """Say what was expected and what came."""
    limits = error.get("ctx", {})
    match error["type"]:
        case "string_too_short":
            expected = f"expected at least {_characters(limits['min_length'])}"
        case "string_too_long":
            expected = f"expected at most {_characters(limits['max_length'])}"
        case "string_pattern_mismatch" if error["loc"] == ("command_id",):
            expected = "expected printable ASCII characters without a blank at either end"
        case "string_pattern_mismatch":
            expected = "expected one line without control characters"
        case _:
            return error["msg"]
    return f"{expected}, got {_shown(error['input'])}"


def _characters(count: int) -> str:
    return f"{count} character{'' if count == 1 else 's'}"


def _shown(value: object) -> str:
    """Show what came; of a long text only its length."""
    text = str(value)
    return f'"{text}"' if len(text) <= _LONGEST_SHOWN else _characters(len(text))


def send(given: Asking, asked: ControlCommand | ControlQuery) -> ControlReply:
    """Ask over a new connection."""
    with _failures(asked.command_id if isinstance(asked, ControlCommand) else ""):
        return asyncio.run(_send(given, asked))


async def _send(given: Asking, asked: ControlCommand | ControlQuery) -> ControlReply:
    async with ControlClient(amqp_url(given.login)) as client:
        return await client.ask(asked, given.timeout)


@contextmanager
def _failures(command_id: str = "") -> Iterator[None]:
    try:
        yield
    except NotAllowed as error:
        fail(str(error), REFUSED)
    except NoAnswer as error:
        again = f"; it may have been done: look at the history, or repeat it with --id {command_id}"
        fail(str(error) + (again if command_id else ""), NO_ANSWER)


def fail(text: str, code: int) -> NoReturn:
    """End the program with a line on standard error."""
    typer.echo(clean(text), err=True)
    raise typer.Exit(code)


def _reason(given: Changing) -> str:
    if given.reason is not None:
        return given.reason
    if is_dry(given):
        return _DRY_RUN_REASON
    if not sys.stdin.isatty():
        fail("--reason: expected a reason for the history, got nothing", USAGE)
    return str(typer.prompt("reason", err=True))


def _confirm(given: Changing, asked: ControlCommand, question: str, seen: StateView | None) -> None:
    if not isinstance(given, Moving) or given.yes or is_dry(given):
        return
    if not sys.stdin.isatty():
        fail("--yes: expected, because this moves traffic and nobody can be asked here", USAGE)
    if seen is not None:
        typer.echo(f"in force: {seen.phase} at {seen.percentage} %", err=True)
    if not isinstance(asked, EmergencyRollback):  # nothing is asked of the workers first
        for said in foretold(given, asked):
            typer.echo(clean(said), err=True)
    if not typer.confirm(f"{question}?", err=True):
        fail("nothing done", REFUSED)
