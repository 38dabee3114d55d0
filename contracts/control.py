"""The messages that steer the migration: commands, queries, replies, and the wake-up.

Rules: commands refuse unknown fields and fields given twice, because a typo must not widen a
command (`control_decoding` reads them). The name in the body must equal the last words of the
routing key. The asker is the user that the broker vouches for, never a name in a body. A command id
makes a command once-only: the same id again gets the stored reply. `control.state` is a wake-up and
carries the version only, because the store is the truth.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from contracts import documents
from contracts.control_views import Asker, GateView, Percentage, StateView, Version
from contracts.model import Int64, Line, MessageId, Moment, Strict, Wire

Reason = Annotated[str, Field(strict=True, min_length=3, max_length=500)]
SenderId = Annotated[Line, StringConstraints(max_length=20)]
Provider = Annotated[str, Field(strict=True, min_length=1, max_length=32)]
"""A provider's id, role (`target`, `legacy`) or common spelling, in any case."""


def _fit(document: dict[str, Any]) -> dict[str, Any]:
    if problems := documents.unfit(document):
        raise ValueError("; ".join(problems))
    return document


class StateAnnouncement(Wire):
    """A new version of flags and state is in force."""

    version: Version
    lineage: UUID
    """Id of the control log; a restored or replaced store has another, whatever its version."""
    at: Moment


class ControlCommand(Strict):
    """The fields of every command."""

    name: str
    command_id: MessageId
    """Makes the command once-only; a client without a reply within 2 s sends the same id again."""
    issued_at: Moment
    """Upward commands expire 30 s later."""
    reason: Reason
    """For the history; required, because every command changes something."""
    expected_version: Version | None = None
    """Refused if another version is in force. Absent: any version may be in force."""


class _Upward(ControlCommand):
    """A command that may raise the target's share."""

    dry_run: bool = False
    """Answer with the gates and change nothing."""
    override_gates: Reason | None = None
    """Ignore the gates for this reason, which is recorded."""


class Advance(_Upward):
    """Go to the next phase, at its entry percentage or lower."""

    name: Literal["advance"] = "advance"
    at: Percentage | None = None


class Step(_Upward):
    """Go to the next percentage of the phase."""

    name: Literal["step"] = "step"


class SetPercentage(_Upward):
    """Set a percentage within the phase's range."""

    name: Literal["set-percentage"] = "set-percentage"
    percentage: Percentage


class Rollback(ControlCommand):
    """Go back to the previous phase, at the lower of its last percentage and the present one."""

    name: Literal["rollback"] = "rollback"
    leaving: str | None = None
    """The phase to leave; nothing is done if it is left already."""


class EmergencyRollback(ControlCommand):
    """Send all traffic to legacy, from any phase, at once."""

    name: Literal["emergency-rollback"] = "emergency-rollback"


class Approve(_Upward):
    """Carry out a proposal that another user made."""

    name: Literal["approve"] = "approve"
    proposal: Version


class Reject(ControlCommand):
    """Drop a proposal."""

    name: Literal["reject"] = "reject"
    proposal: Version


class Hold(ControlCommand):
    """Stop automatic moves upwards, as every command that takes traffic from the target does."""

    name: Literal["hold"] = "hold"


class Resume(ControlCommand):
    """Let automation go on after `hold`, or after traffic was taken back by hand."""

    name: Literal["resume"] = "resume"


class Unlock(ControlCommand):
    """Lift the lock of an automatic rollback or step back."""

    name: Literal["unlock"] = "unlock"


class SetFlags(_Upward):
    """Replace all flags with a document (`deploy/flags.json`)."""

    name: Literal["set-flags"] = "set-flags"
    flags: Annotated[dict[str, Any], AfterValidator(_fit)]


class SetUserOverride(_Upward):
    """Send a user's messages to one provider."""

    name: Literal["set-user-override"] = "set-user-override"
    user: Line
    provider: Provider


class ClearUserOverride(_Upward):
    """Remove a user's override, so that the percentage decides again."""

    name: Literal["clear-user-override"] = "clear-user-override"
    user: Line


class SetBranchOverride(_Upward):
    """Send a branch's messages to one provider."""

    name: Literal["set-branch-override"] = "set-branch-override"
    branch: Int64
    provider: Provider


class ClearBranchOverride(_Upward):
    """Remove a branch's override, so that the percentage decides again."""

    name: Literal["clear-branch-override"] = "clear-branch-override"
    branch: Int64


class EnableProvider(_Upward):
    """Allow a provider to be chosen."""

    name: Literal["enable-provider"] = "enable-provider"
    provider: Provider


class DisableProvider(_Upward):
    """Never choose a provider; the other takes its share."""

    name: Literal["disable-provider"] = "disable-provider"
    provider: Provider


class RetireLegacy(_Upward):
    """End the fallback to legacy; rollback is unavailable until legacy is enabled again."""

    name: Literal["retire-legacy"] = "retire-legacy"


class ResetBreaker(ControlCommand):
    """Close a provider's circuit breaker on every replica."""

    name: Literal["reset-breaker"] = "reset-breaker"
    provider: Provider


class Backup(ControlCommand):
    """Give the version in force a name."""

    name: Literal["backup"] = "backup"
    label: Line


class Restore(_Upward):
    """Put an older version's flags and state in force, as a new version."""

    name: Literal["restore"] = "restore"
    to: Line
    """A backup's name, a version number, or `last-known-good`."""


class Ack(ControlCommand):
    """Acknowledge an alert: people are not notified of it again until it is over."""

    name: Literal["ack"] = "ack"
    alert: Line
    """Its code, or the beginning of its id (at least 6 characters)."""
    provider: Provider | None = None
    """Its provider, if several alerts of that code are open."""


class AddSuppression(ControlCommand):
    """Put a recipient on the list of those who want no messages."""

    name: Literal["add-suppression"] = "add-suppression"
    number: Line
    """As people write it. It is kept as hash and mask."""
    sender_id: SenderId | None = None
    """Sender whose messages stop; absent: every sender."""


class RemoveSuppression(ControlCommand):
    """Allow messages to a recipient again."""

    name: Literal["remove-suppression"] = "remove-suppression"
    number: Line
    """As people write it. It is kept as hash and mask."""
    sender_id: SenderId | None = None
    """Sender whose messages are allowed; absent: every sender, whatever the list says."""


Command = (
    Advance | Step | SetPercentage | Rollback | EmergencyRollback | Approve | Reject | Hold
    | Resume | Unlock | SetFlags | SetUserOverride | ClearUserOverride | SetBranchOverride
    | ClearBranchOverride | EnableProvider | DisableProvider | RetireLegacy | ResetBreaker
    | Backup | Restore | Ack | AddSuppression | RemoveSuppression
)  # fmt: skip

COMMANDS: Final[tuple[type[ControlCommand], ...]] = Command.__args__


class ControlQuery(Strict):
    """The fields of every query."""

    name: str
    command_id: MessageId


class Status(ControlQuery):
    """Phase, percentage, breakers, replicas, next gates."""

    name: Literal["status"] = "status"


class Health(ControlQuery):
    """Figures of both providers over a period."""

    name: Literal["health"] = "health"
    hours: Annotated[float, Field(gt=0, le=24 * 366)] = 1.0


class Comparison(ControlQuery):
    """Both providers side by side over a period."""

    name: Literal["comparison"] = "comparison"
    hours: Annotated[float, Field(gt=0, le=24 * 366)] = 1.0


class History(ControlQuery):
    """Entries of the control log, newest first."""

    name: Literal["history"] = "history"
    limit: Annotated[int, Field(strict=True, ge=1, le=200)] = 20
    before: Version | None = None
    """Only entries older than this one."""


class Explain(ControlQuery):
    """Which provider a message would go to, and why."""

    name: Literal["explain"] = "explain"
    to: Line
    user_id: Line | None = None
    branch_id: Int64 | None = None


class Alerts(ControlQuery):
    """Open alerts of all replicas, and those of the last day."""

    name: Literal["alerts"] = "alerts"


class Suppressions(ControlQuery):
    """Who wants no messages, and from which sender; the newest first."""

    name: Literal["suppressions"] = "suppressions"
    number: Line | None = None
    """One recipient, as people write the number; then all recorded wishes are listed."""
    limit: Annotated[int, Field(strict=True, ge=1, le=200)] = 50


class Series(ControlQuery):
    """Both providers over time, and the changes of the share: what a chart of a migration draws."""

    name: Literal["series"] = "series"
    hours: Annotated[float, Field(gt=0, le=24 * 366)] = 24.0


class Preview(ControlQuery):
    """What a command would lead to now. Nothing is done or recorded, and any role may ask."""

    name: Literal["preview"] = "preview"
    command: dict[str, Any]
    """The command's `name` and its own fields. What it shares with every command (`commandId`,
    `issuedAt`, `reason`) may be absent."""


Query = (
    Status | Health | Comparison | History | Explain | Alerts | Suppressions | Series | Preview
)  # fmt: skip
QUERIES: Final[tuple[type[ControlQuery], ...]] = Query.__args__


class ControlReply(Wire):
    """The answer to a command or query."""

    command_id: str
    name: str
    verdict: Literal["accepted", "refused"]
    code: str
    """Short, stable, for programs: `ok`, `unchanged`, `gates`, `range`, `forbidden` ..."""
    text: str
    """For people: what was asked, what is allowed, how to go on."""
    problems: tuple[str, ...] = ()
    version: Version | None = None
    """Version in force after the command."""
    state: StateView | None = None
    gates: tuple[GateView, ...] = ()
    data: dict[str, Any] | None = None
    """What a query asked for: `StatusAnswer`, `HistoryAnswer`, `ExplainAnswer`, `AlertsAnswer` or
    `SuppressionsAnswer`, `SeriesAnswer` or `PreviewAnswer` by its name; `HealthMetric` or
    `ComparisonMetric` without the `event`."""
    you: Asker | None = None
    """Who asked, in the answer to a query."""
    at: Moment
