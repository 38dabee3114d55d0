"""`sms-worker ctl`: commands that move the migration.

Rules: relative commands (`advance`, `step`) carry the version that was read, and `rollback` carries
the phase, so that two people do not do the same thing twice. `emergency-rollback` reads nothing.
"""

from __future__ import annotations

from typing import Annotated

import typer

from contracts.control import (
    Advance,
    Approve,
    EmergencyRollback,
    Hold,
    Reject,
    Resume,
    RetireLegacy,
    Rollback,
    SetPercentage,
    Step,
    Unlock,
)
from worker.cli.ctl.ask import carry_out, in_force
from worker.cli.options import Changing, Moving, Raising, options

Percent = Annotated[int, typer.Argument(min=0, max=100, metavar="PERCENT")]
Proposal = Annotated[int, typer.Argument(min=0, metavar="N", help="Number that `status` shows.")]


@options(Raising)
def advance(
    given: Raising,
    *,
    at: Annotated[
        int | None,
        typer.Option(
            min=0, max=100, metavar="PERCENT", help="Enter the phase at a lower percentage."
        ),
    ] = None,
) -> None:
    """Go to the next phase."""
    where = "" if at is None else f" at {at} %"
    carry_out(given, Advance, f"advance to the next phase{where}", relative=True, at=at)


@options(Raising)
def step(given: Raising) -> None:
    """Go to the next percentage of the phase."""
    carry_out(given, Step, "go to the next step of the phase", relative=True)


@options(Raising)
def set_percentage(given: Raising, *, percentage: Percent) -> None:
    """Set the target's share, within the phase's range."""
    question = f"set the percentage to {percentage} %"
    carry_out(given, SetPercentage, question, percentage=percentage)


@options(Moving)
def rollback(
    given: Moving,
    *,
    leaving: Annotated[
        str | None,
        typer.Option(
            metavar="PHASE", help="Phase to leave; nothing is done if it is left already."
        ),
    ] = None,
) -> None:
    """Go back to the previous phase."""
    seen = None if leaving is not None else in_force(given)
    phase = leaving if seen is None else seen.phase
    carry_out(given, Rollback, f"roll back from {phase}", seen=seen, leaving=phase)


@options(Moving)
def emergency_rollback(given: Moving) -> None:
    """Send all traffic to legacy, from anywhere, at once."""
    carry_out(given, EmergencyRollback, "send ALL traffic to legacy, now")


@options(Raising)
def approve(given: Raising, *, proposal: Proposal) -> None:
    """Carry out a proposal that somebody else made."""
    seen = None if given.yes else in_force(given)  # the person who confirms sees the proposal
    which = f"{proposal}" if seen is None else f"{proposal} (waiting: {seen.proposal or 'none'})"
    carry_out(given, Approve, f"carry out proposal {which}", seen=seen, proposal=proposal)


@options(Changing)
def reject(given: Changing, *, proposal: Proposal) -> None:
    """Drop a proposal."""
    carry_out(given, Reject, "", proposal=proposal)


@options(Changing)
def hold(given: Changing) -> None:
    """Stop automatic moves upwards, as every command that takes traffic from the target does."""
    carry_out(given, Hold, "")


@options(Changing)
def resume(given: Changing) -> None:
    """Let automation go on after `hold`, or after traffic was taken back by hand."""
    carry_out(given, Resume, "")


@options(Changing)
def unlock(given: Changing) -> None:
    """Lift the lock of an automatic rollback."""
    carry_out(given, Unlock, "")


@options(Raising)
def retire_legacy(given: Raising) -> None:
    """End the fallback to legacy; rollback is unavailable until legacy is enabled again."""
    carry_out(given, RetireLegacy, "end the fallback to legacy")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for name, command in {
        "advance": advance,
        "step": step,
        "set-percentage": set_percentage,
        "rollback": rollback,
        "emergency-rollback": emergency_rollback,
        "approve": approve,
        "reject": reject,
        "hold": hold,
        "resume": resume,
        "unlock": unlock,
        "retire-legacy": retire_legacy,
    }.items():
        app.command(name)(command)
