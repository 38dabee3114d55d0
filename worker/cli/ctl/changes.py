"""`sms-worker ctl`: commands for flags, overrides, providers and backups.

Rules: a flags file replaces all flags. The difference to the flags in force is shown first, and the
command carries the version that it was compared with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated, Any

import typer

from contracts.control import (
    Backup,
    ClearBranchOverride,
    ClearUserOverride,
    DisableProvider,
    EnableProvider,
    ResetBreaker,
    Restore,
    SetBranchOverride,
    SetFlags,
    SetUserOverride,
)
from worker.cli.ctl.ask import ACCEPTED, USAGE, carry_out, fail, in_force
from worker.cli.ctl.views import clean
from worker.cli.options import Asking, Changing, Raising, options
from worker.domain.migration.flags_differences import SHARE, differences
from worker.domain.migration.flags_document import FlagsError
from worker.settings import flags_file

Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="Its id, `target` or `legacy`.")]
User = Annotated[str, typer.Argument(metavar="USER", help="`userId` of messages.")]
Branch = Annotated[int, typer.Argument(metavar="BRANCH", help="`branchId` of messages.")]

flags = typer.Typer(help="The flags document.", no_args_is_help=True)
user = typer.Typer(help="Overrides of users.", no_args_is_help=True)
branch = typer.Typer(help="Overrides of branches.", no_args_is_help=True)


@flags.command("show")
@options(Asking)
def flags_show(given: Asking) -> None:
    """Print the flags in force, in the format that `apply` reads."""
    typer.echo(json.dumps(in_force(given).flags, indent=None if given.as_json else 2))


@flags.command("apply")
@options(Raising)
def flags_apply(
    given: Raising,
    *,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, allow_dash=True)],
) -> None:
    """Replace all flags with a file; first show what that changes."""
    document = _document(file)
    seen = in_force(given)
    changed = differences(seen.flags, document)
    for line in changed or ["no difference"]:
        typer.echo(clean(line), err=given.as_json)
    _say_share(document, seen.percentage)
    if not changed:
        raise typer.Exit(ACCEPTED)
    carry_out(given, SetFlags, "apply these flags", seen=seen, flags=document)


def _document(file: Path) -> dict[str, Any]:
    try:
        return flags_file.read(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
    except FlagsError as error:
        fail(f"{file}: {error}", USAGE)
    except OSError as error:
        fail(f"{file}: expected a file that can be read, got {error}", USAGE)


def _say_share(document: dict[str, Any], percentage: int) -> None:
    section, name = SHARE
    inner = document.get(section)
    wanted = inner.get(name, percentage) if isinstance(inner, dict) else percentage
    if wanted != percentage:
        typer.echo(
            f"{name}: {wanted} is not applied, {percentage} stays: set-percentage changes it",
            err=True,
        )


@user.command("set")
@options(Raising)
def user_set(given: Raising, *, name: User, provider: Provider) -> None:
    """Send a user's messages to one provider."""
    question = f"send user {name} to {provider}"
    carry_out(given, SetUserOverride, question, user=name, provider=provider)


@user.command("clear")
@options(Raising)
def user_clear(given: Raising, *, name: User) -> None:
    """Remove a user's override, so that the percentage decides again."""
    carry_out(given, ClearUserOverride, f"clear the override of user {name}", user=name)


@branch.command("set")
@options(Raising)
def branch_set(given: Raising, *, number: Branch, provider: Provider) -> None:
    """Send a branch's messages to one provider."""
    question = f"send branch {number} to {provider}"
    carry_out(given, SetBranchOverride, question, branch=number, provider=provider)


@branch.command("clear")
@options(Raising)
def branch_clear(given: Raising, *, number: Branch) -> None:
    """Remove a branch's override, so that the percentage decides again."""
    question = f"clear the override of branch {number}"
    carry_out(given, ClearBranchOverride, question, branch=number)


@options(Raising)
def enable_provider(given: Raising, *, provider: Provider) -> None:
    """Allow a provider to be chosen."""
    carry_out(given, EnableProvider, f"enable {provider}", provider=provider)


@options(Raising)
def disable_provider(given: Raising, *, provider: Provider) -> None:
    """Never choose a provider; the other takes its share."""
    carry_out(given, DisableProvider, f"disable {provider}", provider=provider)


@options(Changing)
def reset_breaker(given: Changing, *, provider: Provider) -> None:
    """Close a provider's circuit breaker on every replica."""
    carry_out(given, ResetBreaker, "", provider=provider)


@options(Changing)
def backup(
    given: Changing, *, name: Annotated[str, typer.Argument(help="Name for `restore`.")]
) -> None:
    """Give the version in force a name."""
    carry_out(given, Backup, "", label=name)


@options(Raising)
def restore(
    given: Raising,
    *,
    to: Annotated[
        str, typer.Argument(help="A backup's name, a version number, or last-known-good.")
    ],
) -> None:
    """Put older flags and state in force, as a new version."""
    carry_out(given, Restore, f"restore {to}", to=to)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(flags, name="flags")
    app.add_typer(user, name="user")
    app.add_typer(branch, name="branch")
    app.command("enable-provider")(enable_provider)
    app.command("disable-provider")(disable_provider)
    app.command("reset-breaker")(reset_breaker)
    app.command("backup")(backup)
    app.command("restore")(restore)
