"""What replies on the control topic show: the state, its gates, who asked.

Rules: what is for people (`locked`, `proposal`, `missing`) is there as fields too, so that no
program has to read words. Only what holds now is shown: a lock that ended and a proposal that
expired are absent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from contracts.model import INT64, Count, Moment, Wire

Percentage = Annotated[int, Field(strict=True, ge=0, le=100)]
Version = Annotated[int, Field(strict=True, ge=0, lt=INT64)]


class GateView(Wire):
    """One gate of an upward move."""

    gate: str
    required: str
    measured: str
    sample: int | None = None
    verdict: Literal["pass", "fail", "not enough data", "not applicable"]
    missing: str | None = None
    """What is missing, and how long it will take at today's rate."""
    missing_outcomes: Count | None = None
    """How many more outcomes it needs, if that is what is missing."""
    missing_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Seconds until it opens at today's rate; absent: not known, or time alone does not open it."""


class LockView(Wire):
    """Forbids moves upwards after an automatic rollback or step back."""

    reason: str
    until: Moment | None = None
    """Its end; absent: a person must lift it with `unlock`."""


class ProposalView(Wire):
    """A move upwards that waits for a second person."""

    number: Version
    by: str
    phase: str
    percentage: Percentage
    expires_at: Moment


class Asker(Wire):
    """Who asked, as the broker and this worker know them."""

    user: str
    role: Literal["observer", "operator", "administrator"]
    commands: tuple[str, ...]
    """Commands that this role may give whatever they lead to. Where the effect decides, such as an
    operator's `disable-provider`, the command is not listed; `preview` tells. Only administrators
    override gates."""


class StateView(Wire):
    """Flags and state at one version."""

    version: Version
    phase: str
    percentage: Percentage
    previous_phase: str | None = None
    started_at: Moment | None = None
    initiated_by: str | None = None
    is_rollback_available: bool
    held: bool = False
    """Automation makes no upward moves until `resume`."""
    held_reason: str | None = None
    """Who held it, by which command, and why."""
    locked: str | None = None
    """Why moves upwards are locked, for people; `lock` is the same as fields."""
    proposal: str | None = None
    """The proposal that waits, for people; `proposed` is the same as fields."""
    lock: LockView | None = None
    proposed: ProposalView | None = None
    since: Moment | None = None
    """When the present percentage began."""
    share: Percentage | None = None
    """What goes to the target in fact: a provider that is disabled or has no role takes nothing."""
    reason: str | None = None
    """The reason of the last change."""
    legacy_retired: bool = False
    backups: dict[str, Version] = Field(default_factory=dict)
    """Versions by name."""
    proven: tuple[Percentage, ...] = ()
    """Shares whose gates passed, rising: automation steps back to one of them."""
    last_percentages: dict[str, Percentage] = Field(default_factory=dict)
    """The percentage at which each phase was last left."""
    automatic_downs: tuple[Moment, ...] = ()
    """Recent automatic rollbacks; after each, the lock is longer."""
    flags: dict[str, Any]
