"""The names of the changes that people and automation request.

Rules: each command has one name. Names are stored in the control log and published as spelled here.
"""

from __future__ import annotations

from typing import Final

from worker.domain.documented import DocumentedWord, markdown_table


class ChangeName(DocumentedWord):
    """The name of a change."""

    ADVANCE = "advance", "To the next phase, at its entry percentage or lower."
    STEP = "step", "To the next percentage of the phase."
    SET_PERCENTAGE = "set-percentage", "To a percentage within the phase's range."
    ROLLBACK = (
        "rollback",
        "To the phase before, at the lower of its last percentage and the present one.",
    )
    EMERGENCY_ROLLBACK = "emergency-rollback", "All traffic to legacy, from anywhere, at once."
    RETIRE_LEGACY = (
        "retire-legacy",
        "End the fallback; rollback is unavailable until legacy is enabled again.",
    )
    APPROVE = "approve", "Carry out a proposal. Its proposer cannot."
    REJECT = "reject", "Drop a proposal."
    HOLD = "hold", "Stop automatic moves upwards."
    RESUME = "resume", "Let automation go on."
    UNLOCK = "unlock", "Lift the lock of an automatic rollback or step back."
    SET_FLAGS = "set-flags", "Replace the flags by a whole document."
    SET_USER_OVERRIDE = "set-user-override", "Send a user's messages to one provider."
    CLEAR_USER_OVERRIDE = "clear-user-override", "Let the percentage decide on a user again."
    SET_BRANCH_OVERRIDE = "set-branch-override", "Send a branch's messages to one provider."
    CLEAR_BRANCH_OVERRIDE = "clear-branch-override", "Let the percentage decide on a branch again."
    ENABLE_PROVIDER = "enable-provider", "Let a provider be chosen."
    DISABLE_PROVIDER = "disable-provider", "Never choose a provider; the other takes its share."
    RESET_BREAKER = "reset-breaker", "Close a provider's circuit breaker on every replica."
    BACKUP = "backup", "Give the version in force a name."
    RESTORE = "restore", "Put an older version's flags and state in force, as a new version."
    ACK = "ack", "Take on an alert: it is not told again until it is over."
    ADD_SUPPRESSION = (
        "add-suppression",
        "Put a recipient on the list of those who want no messages.",
    )
    REMOVE_SUPPRESSION = "remove-suppression", "Let a recipient have messages again."


DOWNWARD: Final = frozenset({ChangeName.ROLLBACK, ChangeName.EMERGENCY_ROLLBACK, ChangeName.HOLD})
"""Changes that wait while the store is away; all others get an error reply."""
RELATIVE: Final = frozenset({ChangeName.ADVANCE, ChangeName.STEP})
"""Changes whose meaning depends on the state in which they were requested."""


def table() -> str:
    """The registry for the documentation."""
    rows = ((f"`{name}`", name.meaning) for name in ChangeName)
    return markdown_table(("command", "what it does"), rows)
