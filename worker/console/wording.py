"""The words of the console: plain names of what the wire and the domain call by codes.

Rules: one table for each kind of name, and one name for one thing, whatever page shows it. A code
that a newer worker sends and these tables do not know is shown as it came.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.signals import Signal
from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.gate_names import GateName
from worker.domain.migration.phases import Phase
from worker.domain.migration.provider_names import DISPLAY_NAMES
from worker.domain.migration.snapshot import AUTOMATIC

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDERS: Final = DISPLAY_NAMES
"""Display name by provider id."""

PHASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        Phase.NOT_STARTED: "Not started",
        Phase.PARALLEL_SETUP: "Parallel setup",
        Phase.GRADUAL_MIGRATION: "Gradual migration",
        Phase.LEGACY_DEPRECATION: "Legacy deprecation",
        Phase.COMPLETE_MIGRATION: "Complete",
        Phase.ROLLBACK: "Rolled back",
    }
)

SIGNALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        str(Signal.FAILED): "Failed",
        str(Signal.SLOW): "Slow",
        str(Signal.UNDELIVERED): "Not delivered",
    }
)

GATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        GateName.LOCK: "Lock",
        GateName.ACCOUNT: "Account call",
        GateName.TIME: "Time at this share",
        GateName.SUCCESS: "Success",
        GateName.ERRORS: "Errors",
        GateName.RESPONSE: "Response p95",
        GateName.DELIVERY: "Delivered",
        GateName.EVIDENCE: "Fresh evidence",
        GateName.ALARM: "No alarm near",
        GateName.ASSIGNMENT: "Share as set",
        GateName.FAILED_PROOF: "Failures proved low",
        GateName.FAILED_COMPARISON: "Failures no worse than {legacy}",
        GateName.SLOW_PROOF: "Slowness proved low",
        GateName.SLOW_COMPARISON: "Slowness no worse than {legacy}",
        GateName.UNDELIVERED_PROOF: "Non-delivery proved low",
    }
)
VERDICTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pass": "open",
        "fail": "not passed",
        "not enough data": "not enough data",
        "not applicable": "does not apply",
    }
)

HOLDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        HoldReason.COMMON_TROUBLE: "{target} does badly, and {legacy} no better.",
        HoldReason.UNDECIDED: "{target} does badly, and automation is not sure enough to act.",
        HoldReason.NO_WAY_BACK: "Going down is due, and {legacy} is not enabled.",
        HoldReason.ROLLBACK_WANTED: "Going down is due, and automatic rollback is switched off.",
        HoldReason.ACCOUNT: "{target} refuses our account.",
        HoldReason.REPORTS_MISSING: "No delivery report of {target} comes.",
        HoldReason.MISASSIGNED: "The share sent is not the share set.",
        HoldReason.SICK_REPLICA: "The calls of one replica alone fail.",
    }
)
"""Why automation holds."""

REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        HoldReason.COMMON_TROUBLE: "The split stays; single messages fall back.",
        HoldReason.UNDECIDED: "Look at the evidence; roll back if you are sure.",
        HoldReason.NO_WAY_BACK: "An emergency rollback enables {legacy} too.",
        HoldReason.ROLLBACK_WANTED: "A person must roll back.",
        HoldReason.ACCOUNT: "Check balance and credentials of the account.",
        HoldReason.REPORTS_MISSING: "Check that reports reach the webhook.",
        HoldReason.MISASSIGNED: "Check that all replicas run the same version.",
        HoldReason.SICK_REPLICA: "Restart or isolate that replica.",
    }
)
"""What a person does about it."""

SEVERITIES: Final[Mapping[str, str]] = MappingProxyType(
    {"critical": "Critical", "warning": "Warning", "info": "Note"}
)


COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        ChangeName.ADVANCE: "Advance",
        ChangeName.STEP: "Step",
        ChangeName.SET_PERCENTAGE: "Share set",
        ChangeName.ROLLBACK: "Rollback",
        ChangeName.EMERGENCY_ROLLBACK: "Emergency rollback",
        ChangeName.RETIRE_LEGACY: "Legacy retired",
        ChangeName.APPROVE: "Approved",
        ChangeName.REJECT: "Rejected",
        ChangeName.HOLD: "Hold",
        ChangeName.RESUME: "Resume",
        ChangeName.UNLOCK: "Unlock",
        ChangeName.SET_FLAGS: "Flags set",
        ChangeName.SET_USER_OVERRIDE: "User override set",
        ChangeName.CLEAR_USER_OVERRIDE: "User override cleared",
        ChangeName.SET_BRANCH_OVERRIDE: "Branch override set",
        ChangeName.CLEAR_BRANCH_OVERRIDE: "Branch override cleared",
        ChangeName.ENABLE_PROVIDER: "Provider enabled",
        ChangeName.DISABLE_PROVIDER: "Provider disabled",
        ChangeName.RESET_BREAKER: "Breaker reset",
        ChangeName.BACKUP: "Backup",
        ChangeName.RESTORE: "Restored",
        ChangeName.ACK: "Alert taken on",
        ChangeName.ADD_SUPPRESSION: "Suppression added",
        ChangeName.REMOVE_SUPPRESSION: "Suppression removed",
    }
)
"""What a command did, for the history."""

_END_OF_LOCK: Final = re.compile(r"^until [0-9-]+ [0-9:]+ UTC: ")
_SHORTER: Final = tuple(
    (re.compile(pattern), short)
    for pattern, short in (
        (r" at the present percentage$", ""),
        (r"^the account call succeeds$", "succeeds"),
        (r"^no detector above half its level$", "below half"),
        (r"^the share realised is the one configured$", "as set"),
        (r"^as configured$", "as set"),
        (r"^p95 ", ""),
        (r" delivered$", ""),
        (r"^.*, 20 to 1$", "20 to 1"),
        (r"^at most 60 s old, about this share$", "at most 60 s old"),
        (r"^\d[\d.]*e\+0*[6-9]\d* to 1$", "over 1 million to 1"),
        (r"^>= ", "≥ "),
        (r"^<= ", "≤ "),
    )
)


def provider(ident: str | None) -> str:
    """The display name of a provider; a provider without one keeps its id."""
    return PROVIDERS.get(ident or "", ident or "the target")


def phase(code: str) -> str:
    """The name of a phase."""
    return PHASES.get(code, code)


def gate(code: str, legacy: str = "Legacy") -> str:
    """The name of a gate.

    Args:
        code: its name on the wire.
        legacy: display name of legacy.
    """
    return GATES.get(code, code).replace("{legacy}", legacy)


def hold(code: str | None, target: str, legacy: str) -> str:
    """Why automation holds; empty: no such reason is known.

    Args:
        code: the reason.
        target: display name, like `legacy`.
        legacy: display name.
    """
    return HOLDS.get(code or "", "").format(target=target, legacy=legacy)


def holding(text: str, target: str) -> str:
    """What the monitor says of a hold, as a sentence."""
    said = text.removeprefix("hold: ").replace("the target", target)
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def remedy(code: str | None, legacy: str) -> str:
    """What a person does about a hold; empty: no such reason is known."""
    return REMEDIES.get(code or "", "").format(legacy=legacy)


def person(user: str) -> str:
    """A user of the broker, or automation itself."""
    return "automation" if user == AUTOMATIC else user


def lock(reason: str) -> str:
    """The reason of a lock, without its end, which is shown apart."""
    return _END_OF_LOCK.sub("", reason)


def measure(text: str) -> str:
    """What a gate requires or has measured, without what its name says already."""
    for pattern, short in _SHORTER:
        text = pattern.sub(short, text)
    return text


def signal(code: str) -> str:
    """The name of a signal."""
    return SIGNALS.get(code, code)


def command(name: str) -> str:
    """What was done by a command, for the history."""
    return COMMANDS.get(name, name)
