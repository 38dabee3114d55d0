"""One full and one least message of every kind. What they encode to is kept in `golden/`."""

from __future__ import annotations

from contracts import control, events, health, metrics, reports
from contracts.commands import SendSms

AT = "2026-03-01T08:30:00.250000Z"
LEAST = {"eventId": "0b7c9dd4-3a38-5c2e-8c7a-1f2f3b6f9a01", "occurredAt": AT, "messageId": "m-1"}
FULL = LEAST | {
    "lane": "transactional",
    "recipient": "+260******456",
    "messageType": "OTP",
    "userId": "u-7",
    "branchId": 12,
}
ATTEMPT = {"provider": "africastalking", "attempt": 2}
REPORT = ATTEMPT | {"status": "Success", "matchedBy": "reference"}
COUNTS = {"accepted": 3, "unknown": 1, "cost": {"ZMW": "0.7500"}, "durationMsSum": 812.5}
ASKED = {"commandId": "c-1", "issuedAt": AT, "reason": "because"}
MORE = {
    control.SetPercentage: {"percentage": 30},
    control.Rollback: {"leaving": "GradualMigration"},
    control.Approve: {"proposal": 7},
    control.Reject: {"proposal": 7},
    control.SetFlags: {"flags": {"SmsFeatureFlags": {"EnableLegacy": True}}},
    control.SetUserOverride: {"user": "u-7", "provider": "legacy"},
    control.ClearUserOverride: {"user": "u-7"},
    control.SetBranchOverride: {"branch": 12, "provider": "target"},
    control.ClearBranchOverride: {"branch": 12},
    control.EnableProvider: {"provider": "legacy"},
    control.DisableProvider: {"provider": "legacy"},
    control.ResetBreaker: {"provider": "target"},
    control.Backup: {"label": "before friday"},
    control.Restore: {"to": "last-known-good"},
    control.Ack: {"alert": "account"},
    control.AddSuppression: {"number": "0977123456"},
    control.RemoveSuppression: {"number": "0977123456"},
}
PERIOD = {"at": AT, "since": AT, "until": AT, "hours": 1.0}
NOTHING = {"count": 0, "sample": 0}
HEALTH = {
    "role": "target",
    "attempts": 210,
    "accepted": 196,
    "refused": 6,
    "wrongRecipient": 4,
    "successRate": {"percent": 98.0, "low": 94.97, "high": 99.22, "count": 196, "sample": 200},
    "errorRate": {"percent": 2.0, "low": 0.78, "high": 5.03, "count": 4, "sample": 200},
    "errorsByClass": {"provider": 1, "account": 0, "unknown": 2, "skipped": 1},
    "fallbackRate": {"percent": 0.957, "low": 0.26, "high": 3.42, "count": 2, "sample": 209},
    "p50Ms": 100.0,
    "p95Ms": 7500.0,
    "p99Ms": 10000.0,
    "meanMs": 812.5,
    "deliveryRate": {"percent": 90.0, "low": 83.2, "high": 94.2, "count": 90, "sample": 100},
    "segments": 240,
    "cost": {"ZMW": {"total": "156.8000", "perMessage": "0.8", "perDelivered": "0.888889"}},
    "validation": {"successRate": NOTHING, "deliveryRate": NOTHING},
    "issues": ["response p95 7500 ms is above 5000 ms (MaxResponseTimeMs), of 196 accepted calls"],
    "missing": [],
}
IDLE = {
    "role": "legacy",
    "attempts": 0,
    "accepted": 0,
    "refused": 0,
    "wrongRecipient": 0,
    "successRate": NOTHING,
    "errorRate": NOTHING,
    "errorsByClass": {},
    "fallbackRate": NOTHING,
    "segments": 0,
    "validation": {"successRate": NOTHING},
    "missing": ["delivery rate: not applicable, the provider gives no reports"],
}
PLAIN_QUERIES = (
    control.Status,
    control.Health,
    control.Comparison,
    control.History,
    control.Alerts,
    control.Series,
)

SAMPLES = {
    "SendSms.least": (SendSms, {"messageId": "m-1", "to": "+260977123456", "text": "Hello"}),
    "SendSms.full": (
        SendSms,
        {
            "messageId": "m-2",
            "to": "0977123456",
            "text": "Your code is 4711 €",
            "senderId": "BANK",
            "userId": "u-7",
            "branchId": 12,
            "messageType": "OTP",
            "expiresAt": AT,
            "metadata": {"campaign": "spring"},
        },
    ),
    "SmsSent.least": (
        events.SmsSent,
        LEAST | ATTEMPT | {"segments": 1, "reason": "percentage", "durationMs": 120.5},
    ),
    "SmsSent.full": (
        events.SmsSent,
        FULL
        | ATTEMPT
        | {
            "providerMessageId": "ATXid_1",
            "segments": 2,
            "cost": {"amount": "0.8000", "currency": "ZMW"},
            "possibleDuplicate": True,
            "reason": "percentage: bucket 3 < 25",
            "durationMs": 120.5,
        },
    ),
    "SmsDelivered": (events.SmsDelivered, FULL | REPORT | {"networkCode": "64502"}),
    "SmsDelivered.validation": (
        events.SmsDelivered,
        FULL | REPORT | {"messageType": "Validation", "validation": True},
    ),
    "SmsUndelivered": (
        events.SmsUndelivered,
        FULL | REPORT | {"status": "Failed", "reason": "UserInBlackList", "matchedBy": "recipient"},
    ),
    "SmsFailed": (
        events.SmsFailed,
        FULL | {"code": "rounds", "reason": "4 rounds", "provider": "legacy", "attempts": 8},
    ),
    "SmsExpired": (events.SmsExpired, FULL | {"reason": "not sent in 600 s", "attempts": 0}),
    "SmsRejected.unread": (
        events.SmsRejected,
        LEAST
        | {
            "reason": 'branchId: expected an integer, got "north"',
            "problems": ['branchId: expected an integer, got "north"'],
        },
    ),
    "SmsRejected": (events.SmsRejected, FULL | {"reason": "opted out"}),
    "SmsUnknown": (
        events.SmsUnknown,
        FULL | ATTEMPT | {"reason": "no reply in 30 s", "possibleDuplicate": True},
    ),
    "SmsUnreported": (events.SmsUnreported, FULL | ATTEMPT),
    "RawReport": (
        reports.RawReport,
        {
            "provider": "africastalking",
            "kind": "delivery",
            "receivedAt": AT,
            "fields": {"id": "ATXid_1", "status": "Success"},
        },
    ),
    "ProviderMetric": (
        metrics.ProviderMetric,
        {
            "provider": "legacy",
            "replica": "r-1",
            "at": AT,
            "since": AT,
            "delta": {},
            "total": COUNTS,
        },
    ),
    "BreakerMetric": (
        metrics.BreakerMetric,
        {
            "provider": "legacy",
            "replica": "r-1",
            "at": AT,
            "from": "closed",
            "to": "open",
            "reason": "5 failures in a row",
        },
    ),
    "AlertMetric": (
        metrics.AlertMetric,
        {
            "alertId": "0b7c9dd4-3a38-5c2e-8c7a-1f2f3b6f9a02",
            "at": AT,
            "severity": "critical",
            "code": "store_down",
            "reason": "the store does not answer",
            "evidence": {"seconds": "5"},
            "suggestedCommand": "sms-worker ctl status",
        },
    ),
    "HealthMetric": (
        health.HealthMetric,
        PERIOD | {"providers": {"africastalking": HEALTH, "legacy": IDLE}},
    ),
    "ComparisonMetric.least": (
        health.ComparisonMetric,
        PERIOD
        | {
            "target": "africastalking",
            "legacy": "legacy",
            "providers": {"africastalking": HEALTH, "legacy": IDLE},
            "difference": {},
            "savingsUnknown": "legacy: no message was accepted in the period",
        },
    ),
    "ComparisonMetric.full": (
        health.ComparisonMetric,
        PERIOD
        | {
            "target": "africastalking",
            "legacy": "legacy",
            "providers": {"africastalking": HEALTH, "legacy": HEALTH | {"role": "legacy"}},
            "difference": {
                "successRate": {"points": -0.5, "low": -2.9, "high": 1.9},
                "errorRate": {"points": 0.5, "low": -1.9, "high": 2.9},
                "deliveryRate": {"points": 1.25, "low": -6.0, "high": 8.5},
                "p50Ms": -50.0,
                "p95Ms": 0.0,
                "p99Ms": 0.0,
                "meanMs": -12.5,
                "cost": {"ZMW": {"perMessage": "-0.2", "perDelivered": "-0.233333"}},
            },
            "savings": {
                "currency": "ZMW",
                "messages": 784,
                "perMessage": "0.2",
                "actual": "39.2",
                "projected": "156.8",
            },
        },
    ),
    **{
        f"{model.__name__}.least": (model, ASKED | MORE.get(model, {}))
        for model in control.COMMANDS
    },
    **{model.__name__: (model, {"commandId": "q-1"}) for model in PLAIN_QUERIES},
    "AddSuppression.full": (
        control.AddSuppression,
        ASKED | {"number": "+260977123456", "senderId": "PROMO", "expectedVersion": 7},
    ),
    "RemoveSuppression.full": (
        control.RemoveSuppression,
        ASKED | {"number": "+260977123456", "senderId": "PROMO", "expectedVersion": 7},
    ),
    "Suppressions": (
        control.Suppressions,
        {"commandId": "q-1", "number": "0977123456", "limit": 20},
    ),
    "Preview": (
        control.Preview,
        {"commandId": "q-1", "command": {"name": "set-percentage", "percentage": 40}},
    ),
    "Explain": (
        control.Explain,
        {"commandId": "q-1", "to": "0977123456", "userId": "u-7", "branchId": 12},
    ),
    "Advance.full": (
        control.Advance,
        ASKED | {"at": 5, "dryRun": True, "overrideGates": "a drill", "expectedVersion": 7},
    ),
    "Ack.full": (
        control.Ack,
        ASKED | {"alert": "4f1c09aa", "provider": "target", "expectedVersion": 7},
    ),
    "ControlReply.least": (
        control.ControlReply,
        {
            "commandId": "c-1",
            "name": "step",
            "verdict": "refused",
            "code": "version",
            "text": "step: expected version 7, 8 is in force; look at the status and ask again",
            "at": AT,
        },
    ),
    "ControlReply.full": (
        control.ControlReply,
        {
            "commandId": "c-1",
            "name": "advance",
            "verdict": "accepted",
            "code": "ok",
            "text": "advance: now GradualMigration at 25 %",
            "version": 8,
            "state": {
                "version": 8,
                "phase": "GradualMigration",
                "percentage": 25,
                "previousPhase": "ParallelSetup",
                "startedAt": AT,
                "initiatedBy": "administrator",
                "isRollbackAvailable": True,
                "flags": {"SmsFeatureFlags": {"EnableLegacy": True}},
            },
            "gates": [
                {
                    "gate": "success",
                    "required": ">= 95 %",
                    "measured": "nothing",
                    "sample": 0,
                    "verdict": "not enough data",
                    "missing": "100 outcomes; none come at present",
                }
            ],
            "at": AT,
        },
    ),
    "ControlReply.held": (
        control.ControlReply,
        {
            "commandId": "c-2",
            "name": "set-percentage",
            "verdict": "accepted",
            "code": "ok",
            "text": (
                "set-percentage: now GradualMigration at 10 %; automation is held until resume"
            ),
            "version": 9,
            "state": {
                "version": 9,
                "phase": "GradualMigration",
                "percentage": 10,
                "isRollbackAvailable": True,
                "held": True,
                "heldReason": (
                    "administrator (set-percentage at GradualMigration at 50 %): complaints"
                ),
                "flags": {},
            },
            "at": AT,
        },
    ),
    "ControlReply.asked": (
        control.ControlReply,
        {
            "commandId": "q-1",
            "name": "status",
            "verdict": "accepted",
            "code": "ok",
            "text": "",
            "version": 10,
            "state": {
                "version": 10,
                "phase": "GradualMigration",
                "percentage": 10,
                "isRollbackAvailable": False,
                "locked": "failed: worse than legacy",
                "lock": {"reason": "failed: worse than legacy", "until": AT},
                "proposal": "9: GradualMigration at 25 % by ann",
                "proposed": {
                    "number": 9,
                    "by": "ann",
                    "phase": "GradualMigration",
                    "percentage": 25,
                    "expiresAt": AT,
                },
                "since": AT,
                "share": 100,
                "reason": "all is well",
                "legacyRetired": True,
                "backups": {"before friday": 3},
                "proven": [1, 5],
                "lastPercentages": {"ParallelSetup": 5},
                "automaticDowns": [AT],
                "flags": {},
            },
            "gates": [
                {
                    "gate": "success",
                    "required": ">= 95 %",
                    "measured": "99.00 %",
                    "sample": 50,
                    "verdict": "not enough data",
                    "missing": "50 outcomes, about 5.0 min at the present rate",
                    "missingOutcomes": 50,
                    "missingS": 300.0,
                }
            ],
            "you": {"user": "oda", "role": "operator", "commands": ["step", "hold"]},
            "at": AT,
        },
    ),
    "StateAnnouncement": (
        control.StateAnnouncement,
        {"version": 7, "lineage": "0b7c9dd4-3a38-4c2e-8c7a-1f2f3b6f9a03", "at": AT},
    ),
}
