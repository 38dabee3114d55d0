"""The codes of alerts: short names of troubles and events for programs, people and the runbook.

Rules: codes are short and stable; the reason beside a code is for people and may change. Codes are
published in `metric.alert`, stored with the alerts and used in `ctl ack`. A stored alert of another
version may have an unknown code. It is shown and sent like every other alert.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, Self

from worker.domain.documented import DocumentedWord, markdown_table, with_meaning


class AlertKind(StrEnum):
    """The kind of an alert: with or without an end."""

    TROUBLE = "trouble"
    """Something that lasts: it is raised and resolved."""
    EVENT = "event"
    """Something that happened once: it has no end."""


Severity = Literal["info", "warning", "critical"]
"""How urgent an alert is; the code alone decides."""
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
_TROUBLE, _EVENT = AlertKind.TROUBLE, AlertKind.EVENT
_INFO, _WARNING, _CRITICAL = SEVERITIES


class AlertCode(DocumentedWord):
    """The code of an alert."""

    kind: AlertKind
    severity: Severity

    def __new__(cls, word: str, kind: AlertKind, severity: Severity, meaning: str) -> Self:
        """Make a member of `word, kind, severity, meaning`."""
        member = with_meaning(cls, word, meaning)
        member.kind, member.severity = kind, severity
        return member

    STORE = "store", _TROUBLE, _CRITICAL, "the database is away; nothing is sent"
    BROKER_BLOCKED = (
        "broker-blocked",
        _TROUBLE,
        _CRITICAL,
        "the broker is in memory or disk alarm and takes no events",
    )
    ACCOUNT = "account", _TROUBLE, _CRITICAL, "a provider's account call fails"
    ACCOUNT_FAULT = (
        "account-fault",
        _TROUBLE,
        _CRITICAL,
        "a provider refuses our account for every message",
    )
    LOW_BALANCE = "low-balance", _TROUBLE, _CRITICAL, "the balance is below `LOW_BALANCE`"
    REFUSALS = (
        "refusals",
        _EVENT,
        _WARNING,
        "a provider refuses many sender ids, numbers or texts that the other one may take",
    )
    EVENTS_UNROUTED = (
        "events-unrouted",
        _TROUBLE,
        _WARNING,
        "events that no queue was bound to take",
    )
    UNPUBLISHABLE = "unpublishable", _EVENT, _CRITICAL, "the broker never takes this message"
    OPT_OUT_LOST = "opt-out-lost", _EVENT, _CRITICAL, "an opt-out that cannot be recorded"
    CONTROL_REFUSED = (
        "control-refused",
        _EVENT,
        _WARNING,
        "a command refused because of who sent it or how it came",
    )
    CONTROL_FAILED = "control-failed", _EVENT, _CRITICAL, "a command that our own code failed on"
    RECIPIENTS = "recipients", _TROUBLE, _WARNING, "an address for notices that cannot be used"
    NOTIFICATION_FAILED = "notification-failed", _EVENT, _WARNING, "a notice that was given up"
    VALIDATION = "validation", _TROUBLE, _WARNING, "a provider does not take the probes"
    VALIDATION_DELIVERY = (
        "validation-delivery",
        _TROUBLE,
        _WARNING,
        "a provider does not deliver the probes",
    )
    MONITOR_BLIND = "monitor-blind", _TROUBLE, _WARNING, "the monitor cannot look at the outcomes"
    COMMON_TROUBLE = (
        "common-trouble",
        _TROUBLE,
        _CRITICAL,
        "automation holds: the target does badly, and legacy no better",
    )
    UNDECIDED = (
        "undecided",
        _TROUBLE,
        _CRITICAL,
        "automation holds: the target does badly, and it is not sure enough to act",
    )
    NO_WAY_BACK = (
        "no-way-back",
        _TROUBLE,
        _CRITICAL,
        "automation holds: the target does badly, and legacy is not enabled",
    )
    ROLLBACK_WANTED = (
        "rollback-wanted",
        _TROUBLE,
        _CRITICAL,
        "automation holds: going down is due, and `EnableAutomaticRollback` forbids it",
    )
    REPORTS_MISSING = (
        "reports-missing",
        _TROUBLE,
        _CRITICAL,
        "automation holds: no delivery report of the target comes",
    )
    MISASSIGNED = (
        "misassigned",
        _TROUBLE,
        _CRITICAL,
        "automation holds: the share realised is not the one configured",
    )
    SICK_REPLICA = (
        "sick-replica",
        _TROUBLE,
        _CRITICAL,
        "automation holds: the calls of one replica alone fail; the reason names it",
    )
    AUTOMATIC_ROLLBACK = (
        "automatic-rollback",
        _EVENT,
        _CRITICAL,
        "automation rolled back to legacy; the reason and the figures are in it",
    )
    AUTOMATIC_STEP_BACK = (
        "automatic-step-back",
        _EVENT,
        _CRITICAL,
        "automation took a part of the traffic back; the reason and the figures are in it",
    )
    STATE = (
        "state",
        _EVENT,
        _INFO,
        "the state changed, or automation proposes a move: by whom, from where to where, why",
    )


def table() -> str:
    """The registry for the documentation."""
    rows = ((f"`{code}`", code.kind, code.severity, code.meaning) for code in AlertCode)
    return markdown_table(("code", "what", "severity", "means"), rows)
