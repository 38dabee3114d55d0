"""What each flag is called, and its unit: one line for each value of the flags document.

Rules: every value of the document has a line, which a test holds. A value that a newer worker has
and this table does not know is called by its own name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECOND_WORD: Final = re.compile(r"(?<=[a-z0-9])[A-Z](?![A-Z])")


class Shown(StrEnum):
    """How a value is edited."""

    SWITCH = "switch"
    NUMBER = "number"
    TEXT = "text"
    CHOICE = "choice"
    LINES = "lines"
    """A list of texts, one a line."""
    NUMBERS = "numbers"
    """A list of whole numbers, in one line."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a value is called."""

    label: str
    hint: str = ""
    """Unit, or what it does."""
    shown: Shown | None = None
    """None: as its value is."""


FEATURES, MIGRATION, PHASES = "SmsFeatureFlags", "MigrationSettings", "Phases"
LEFT_OUT: Final = frozenset(
    {
        f"{FEATURES}.AfricasTalkingTrafficPercentage",
        f"{FEATURES}.UserOverrides",
        f"{FEATURES}.BranchOverrides",
    }
)
"""What has commands of its own: the form keeps it as it is."""
_PERCENT, _MINUTES, _MS, _POINTS = "%", "minutes", "milliseconds", "points"
_FLAGS: Final[Mapping[str, Words]] = {
    f"{FEATURES}.EnableAfricasTalking": Words("Africa's Talking may be chosen"),
    f"{FEATURES}.EnableLegacy": Words("Legacy may be chosen"),
    f"{FEATURES}.EnableAutomaticRollback": Words("Automation may roll back"),
    f"{FEATURES}.RollbackPolicy": Words(
        "Policy of the automatic rollback", "evidence or threshold", Shown.CHOICE
    ),
    f"{FEATURES}.RollbackGraceSeconds": Words(
        "An open breaker only holds for", "seconds, before it rolls back"
    ),
    f"{FEATURES}.RollbackThresholds.MaxErrorRate": Words("Errors at most", _PERCENT),
    f"{FEATURES}.RollbackThresholds.MinSuccessRate": Words("Success at least", _PERCENT),
    f"{FEATURES}.RollbackThresholds.MaxResponseTimeMs": Words("Slow from", _MS),
    f"{FEATURES}.RollbackThresholds.WindowMinutes": Words(
        "Window of the rates", "minutes, for the policy threshold"
    ),
    f"{FEATURES}.RollbackThresholds.MinimumSample": Words(
        "Least outcomes in the window", "for the policy threshold"
    ),
    f"{MIGRATION}.AutoAdvanceEnabled": Words("Automation may go up"),
    f"{MIGRATION}.HealthCheckIntervalMinutes": Words("Health report every", _MINUTES),
    f"{MIGRATION}.MinimumPhaseTimeMinutes": Words("Least time at a share", _MINUTES),
    f"{MIGRATION}.SoakTimeMinutes": Words("Least time at a share from 90 % on", _MINUTES),
    f"{MIGRATION}.MinimumSample": Words("Least outcomes for a rate of a gate"),
    f"{MIGRATION}.WorseByAtMost.Failed": Words("Failures", _POINTS),
    f"{MIGRATION}.WorseByAtMost.Slow": Words("Slowness", _POINTS),
    f"{MIGRATION}.WorseByAtMost.Undelivered": Words("Non-delivery", _POINTS),
    f"{MIGRATION}.RequireApprovalForAdvance": Words("A person approves moves of automation"),
    f"{MIGRATION}.FourEyes": Words("A second person approves moves by hand"),
    f"{MIGRATION}.NotificationRecipients": Words(
        "Who is told of alerts", "one address a line: name@host or https://host/...", Shown.LINES
    ),
    f"{MIGRATION}.MetricsRetentionDays": Words("Figures are kept for", "days"),
    f"{MIGRATION}.ValidationTraffic.Enabled": Words("Send test messages"),
    f"{MIGRATION}.ValidationTraffic.Numbers": Words(
        "To phones of our own", "one number a line, with + in front", Shown.LINES
    ),
    f"{MIGRATION}.ValidationTraffic.IntervalSeconds": Words("One every", "seconds"),
    f"{MIGRATION}.ValidationTraffic.Providers": Words(
        "Through", "target or legacy, one a line", Shown.LINES
    ),
}
_OF_A_PHASE: Final[Mapping[str, Words]] = {
    "Entry": Words("Share at the entry", _PERCENT),
    "Low": Words("Lowest share", _PERCENT),
    "High": Words("Highest share", _PERCENT),
    "Steps": Words("Steps", "shares in per cent, rising", Shown.NUMBERS),
    "Requirements.MinSuccessRate": Words("Success at least", _PERCENT),
    "Requirements.MaxP95Ms": Words("Response p95 at most", _MS),
    "Requirements.MaxErrorRate": Words("Errors at most", _PERCENT),
    "Requirements.MinDeliveryRate": Words("Delivered at least", _PERCENT),
}
SECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        FEATURES: "Providers and automatic rollback",
        f"{FEATURES}.RollbackThresholds": "What counts as bad",
        MIGRATION: "Moves and notices",
        f"{MIGRATION}.WorseByAtMost": "Worse than Legacy by at most",
        f"{MIGRATION}.ValidationTraffic": "Test messages",
    }
)
"""Title of a section; that of a phase is its name."""
REQUIREMENTS: Final = "to enter it"


def words(path: str) -> Words | None:
    """What the value at a path is called; None: the table does not know it."""
    top, _, rest = path.partition(".")
    if top == PHASES:
        return _OF_A_PHASE.get(rest.partition(".")[2])
    return _FLAGS.get(path)


def words_or_name(path: str) -> Words:
    """What the value at a path is called, or else its own name."""
    name = path.rpartition(".")[2]
    plain = _SECOND_WORD.sub(lambda match: f" {match.group().lower()}", name)
    return words(path) or Words(plain)


def shown_as(path: str, value: Any) -> Shown:
    """How a value is edited."""
    known = words(path)
    if known is not None and known.shown is not None:
        return known.shown
    match value:
        case bool():
            return Shown.SWITCH
        case int() | float():
            return Shown.NUMBER
        case list():
            return Shown.NUMBERS if all(isinstance(each, int) for each in value) else Shown.LINES
        case _:
            return Shown.TEXT
