"""The names of the gates of an upward move, as people read them, and what each asks.

Rules: names are published in replies and stored in the control log, so a name keeps its meaning.
`move_gates` says which gates a move has. The table of the documentation is made of this registry.
"""

from __future__ import annotations

from typing import Self

from worker.domain.documented import DocumentedWord, markdown_table, with_meaning

_ALWAYS, _FROM_ZERO, _LATER = "always", "from a share of 0", "from any other share"
_ENTERED = "from any other share, into a phase with requirements"
_COMPARED = "from 5 % to below 90 %"
_REQUIRED = "`Phases.<phase>.Requirements"
_WORSE = "`WorseByAtMost."
_SAMPLED = "`MigrationSettings.MinimumSample`"


class GateName(DocumentedWord):
    """The name of a gate; its meaning is what the gate asks of the target."""

    asked: str
    """When it is asked."""
    flags: str
    """The flags that set it, for people."""

    def __new__(cls, word: str, asked: str, meaning: str, flags: str) -> Self:
        """Make a member of `word, asked, meaning, flags`."""
        member = with_meaning(cls, word, meaning)
        member.asked, member.flags = asked, flags
        return member

    LOCK = (
        "lock",
        _ALWAYS,
        "no lock of an automatic rollback is in force",
        "none; `unlock` lifts it",
    )
    ACCOUNT = "account", _FROM_ZERO, "the account call to the target succeeds", "none"
    TIME = (
        "time",
        _LATER,
        "the minimum time at the present percentage has passed",
        "`MinimumPhaseTimeMinutes`; from 90 % on the longer one of it and `SoakTimeMinutes`",
    )
    SUCCESS = (
        "success",
        _ENTERED,
        "enough of the calls since the last change of the share are accepted",
        f"{_REQUIRED}.MinSuccessRate`, {_SAMPLED}",
    )
    ERRORS = (
        "errors",
        _ENTERED,
        "few enough of these calls are errors",
        f"{_REQUIRED}.MaxErrorRate`, {_SAMPLED}",
    )
    RESPONSE = (
        "response",
        _ENTERED,
        "95 of 100 accepted calls are fast enough",
        f"{_REQUIRED}.MaxP95Ms`, {_SAMPLED}",
    )
    DELIVERY = (
        "delivery",
        _ENTERED,
        "enough of the accepted messages that are old enough are delivered",
        f"{_REQUIRED}.MinDeliveryRate`, {_SAMPLED}",
    )
    EVIDENCE = (
        "evidence",
        _LATER,
        "the monitor looked at this share lately; until then it stands for all gates below",
        "none",
    )
    ALARM = (
        "alarm",
        _LATER,
        "no detector of the monitor is above half of its level",
        "`RollbackThresholds`",
    )
    ASSIGNMENT = "assignment", _LATER, "the share realised is the one configured", "none"
    FAILED_PROOF = (
        "failed proof",
        _LATER,
        "few enough calls fail, proved at 20 to 1",
        "`RollbackThresholds.MaxErrorRate`",
    )
    FAILED_COMPARISON = (
        "failed comparison",
        _COMPARED,
        "hardly more calls fail than at legacy, proved at 20 to 1",
        f"{_WORSE}Failed`",
    )
    SLOW_PROOF = (
        "slow proof",
        _LATER,
        "at most 5 % of the accepted calls are slow, proved at 20 to 1",
        "`RollbackThresholds.MaxResponseTimeMs` says what is slow",
    )
    SLOW_COMPARISON = (
        "slow comparison",
        _COMPARED,
        "hardly more calls are slow than at legacy, proved at 20 to 1",
        f"{_WORSE}Slow`",
    )
    UNDELIVERED_PROOF = (
        "undelivered proof",
        _LATER,
        "few messages are not delivered, or (below 100 %) hardly more than at legacy, at 20 to 1",
        f"{_REQUIRED}.MinDeliveryRate` (present phase, or the next with it), {_WORSE}Undelivered`",
    )


def table() -> str:
    """The registry for the documentation."""
    rows = ((f"`{gate}`", gate.asked, gate.meaning, gate.flags) for gate in GateName)
    return markdown_table(("gate", "asked", "asks that", "set by"), rows)
