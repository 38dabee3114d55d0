"""The words of the console: plain names of what the wire and the domain call by codes.

Rules: one table for each kind of name, and one name for one thing, whatever page shows it. A code
that a newer worker sends and these tables do not know is shown as it came.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.signals import Signal
from worker.domain.migration.gate_names import GateName
from worker.domain.migration.phases import Phase
from worker.domain.migration.provider_names import DISPLAY_NAMES

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
        GateName.FAILED_COMPARISON: "Failures no worse",
        GateName.SLOW_PROOF: "Slowness proved low",
        GateName.SLOW_COMPARISON: "Slowness no worse",
        GateName.UNDELIVERED_PROOF: "Non-delivery proved low",
    }
)
"""`No worse` is: than Legacy."""

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
        HoldReason.UNDECIDED: "{target} does badly, and it is not sure enough to act.",
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
        HoldReason.NO_WAY_BACK: "Enable {legacy}, or roll back in an emergency: it enables it.",
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


def provider(ident: str | None) -> str:
    """The display name of a provider; a provider without one keeps its id."""
    return PROVIDERS.get(ident or "", ident or "the target")


def phase(code: str) -> str:
    """The name of a phase."""
    return PHASES.get(code, code)


def gate(code: str) -> str:
    """The name of a gate."""
    return GATES.get(code, code)


def signal(code: str) -> str:
    """The name of a signal."""
    return SIGNALS.get(code, code)
