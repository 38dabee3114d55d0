"""What the console knows in each state of a migration: realistic answers, the same at every call.

Rules: each state is made of the same parts as a real answer, by a function of its name in `STATES`.
The moment is fixed, so that a rendered page is always the same text.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from contracts.answers import AlertsAnswer, HistoryAnswer, StatusAnswer
from contracts.control import COMMANDS, ControlReply
from contracts.control_views import GateView
from tests.support import console_figures as figures
from worker.console.known import Cause, Known, Silence, Told
from worker.console.viewer import Viewer
from worker.domain.migration import flags_document
from worker.domain.migration.flags import Flags, MigrationSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AT: Final = datetime(2026, 3, 4, 7, 31, 52, tzinfo=UTC)
NOW: Final = 5_000.0
"""The console's monotonic clock."""
ALARMS: Final = {"failed": (13.2, 13.9), "slow": (13.9, 13.9), "undelivered": (13.9, 13.9)}
OPERATORS: Final = frozenset(
    {"hold", "rollback", "emergency-rollback", "set-percentage", "step", "ack"}
)
RIGHTS: Final[Mapping[str, frozenset[str]]] = {
    "observer": frozenset(),
    "operator": OPERATORS,
    "administrator": frozenset(each.model_fields["name"].default for each in COMMANDS),
}


def viewer(role: str = "administrator", user: str = "amina", base: str = "") -> Viewer:
    """A person who looks."""
    return Viewer(
        user=user,
        role=role,
        commands=RIGHTS[role],
        environment="production",
        base=base,
        token="token-of-the-session",
        ends_at=AT + timedelta(minutes=30),
        session="5e55",
    )


def ago(**passed: float) -> datetime:
    """A time before the moment."""
    return AT - timedelta(**passed)


# --- parts ---------------------------------------------------------------------------------


def gate(name: str, required: str, measured: str, verdict: str = "pass", **more: Any) -> GateView:
    return GateView(gate=name, required=required, measured=measured, verdict=verdict, **more)


def proof(name: str, what: str, odds: float, left: int = 0, left_s: float = 0.0) -> GateView:
    """A gate that is proved at 20 to 1, or misses so many outcomes."""
    required, measured = f"{what}, 20 to 1", f"{odds:g} to 1"
    if not left:
        return gate(name, required, measured, sample=4_505)
    missing = f"about {left} messages, {left_s / 60:.0f} min at the present rate"
    return gate(
        name, required, measured, "not enough data", sample=1_500, missing=missing,
        missing_outcomes=left, missing_s=left_s,
    )  # fmt: skip


def gates(*, shut: bool = True, errors: str = "1.10 %") -> list[GateView]:
    """Gates of a step within the gradual migration."""
    left = (520, 430.0) if shut else (0, 0.0)
    more = (780, 640.0) if shut else (0, 0.0)
    bad = float(errors.split(maxsplit=1)[0]) > 2.0
    return [
        gate("lock", "none", "none"),
        gate("time", "30 min at the present percentage", "192.4 min"),
        gate("success", ">= 95 %", "98.90 %", sample=4_505),
        gate("errors", "<= 2 %", errors, "fail" if bad else "pass", sample=4_505),
        gate("response", "p95 <= 3 s", "0.63 s", sample=4_455),
        gate("delivery", ">= 98 % delivered", "98.46 %", sample=3_712),
        gate("alarm", "no detector above half its level", "none"),
        gate("assignment", "the share realised is the one configured", "as configured"),
        proof("failed proof", "at most 5 % failed", 4.85e8),
        proof(
            "failed comparison", "at most 2 points (or half) more failed than legacy", 6.3, *more
        ),
        proof("slow proof", "at most 5 % slow", 4.85e8),
        proof("slow comparison", "at most 2 points (or half) more slow than legacy", 12, *left),
        proof("undelivered proof", "at most 2 % not delivered", 88),
    ]


def early_gates() -> list[GateView]:
    """Gates of the first step, soon after the begin."""
    return [
        gate("lock", "none", "none"),
        gate(
            "time", "30 min at the present percentage", "14.2 min", "fail",
            missing="15.8 min", missing_s=948.0,
        ),
        gate("alarm", "no detector above half its level", "none"),
        gate("assignment", "the share realised is the one configured", "as configured"),
        proof("failed proof", "at most 5 % failed", 1.9, 410, 8_200.0),
        proof("slow proof", "at most 5 % slow", 2.4, 380, 7_600.0),
        gate(
            "undelivered proof", "at most 2 % not delivered, 20 to 1", "nothing",
            "not enough data", sample=0, missing="reports are judged after 10 min",
        ),
    ]  # fmt: skip


def begin_gates(lock: str | None = None) -> list[GateView]:
    """Gates from a share of 0."""
    return [
        gate("lock", "none", lock, "fail", missing="an administrator lifts it with `unlock`")
        if lock
        else gate("lock", "none", "none"),
        gate("account", "the account call succeeds", "balance USD 412.50"),
    ]


def signals(part: float = 1.0, **values: tuple[float, float]) -> dict[str, Any]:
    """Detectors by signal: (worse than legacy, bad in itself); the usual ones where not given.

    Args:
        part: of the usual counts of the target.
        values: by signal.
    """
    usual = {"failed": (1.2, 0.4), "slow": (0.6, 0.2), "undelivered": (2.1, 0.9)}
    counts = {"failed": (50, 4_505, 257, 13_495), "slow": (21, 4_455, 88, 13_238),
              "undelivered": (55, 3_712, 284, 11_031)}  # fmt: skip
    return {
        name: dict(
            zip(
                ("targetEvents", "targetTotal", "legacyEvents", "legacyTotal"),
                (*(round(each * part) for each in counts[name][:2]), *counts[name][2:]),
                strict=True,
            ),
            relative={"value": values.get(name, usual[name])[0], "alarm": ALARMS[name][0]},
            absolute={"value": values.get(name, usual[name])[1], "alarm": ALARMS[name][1]},
        )
        for name in ALARMS
    }  # fmt: skip


def sentences(found: Mapping[str, Any]) -> dict[str, str]:
    """The same, as sentences for people."""
    return {
        name: (
            f"target {each['targetEvents']:g} of {each['targetTotal']:g}, "
            f"legacy {each['legacyEvents']:g} of {each['legacyTotal']:g}; "
            f"worse than legacy {each['relative']['value']:.1f} "
            f"(alarm at {each['relative']['alarm']:.1f}), "
            f"bad in itself {each['absolute']['value']:.1f} "
            f"(alarm at {each['absolute']['alarm']:.1f})"
        )
        for name, each in found.items()
    }


def monitor(
    holding: tuple[str, str] | None = None,
    looked_s: float = 4.0,
    part: float = 1.0,
    **values: tuple[float, float],
) -> dict[str, Any]:
    """The monitor's last look; `holding` is the code and the text of a hold."""
    found = signals(part, **values)
    return {
        "lookedAt": ago(seconds=looked_s),
        "ageS": looked_s,
        "holding": holding[1] if holding else None,
        "holdReason": holding[0] if holding else None,
        "evidence": sentences(found),
        "signals": found,
    }


def replica(name: str, version: int = 41, **more: Any) -> dict[str, Any]:
    usual = {
        "replica": name, "applied": version, "oldestUnsent": version, "faults": {},
        "breakers": {"africastalking": "closed", "legacy": "closed"}, "inHand": 12,
        "consuming": True, "ageS": 0.4, "software": "1.4.0", "host": "sms-1",
        "startedAt": ago(days=2),
    }  # fmt: skip
    return usual | more


def alert(number: int, severity: str, reason: str, **more: Any) -> dict[str, Any]:
    usual = {
        "id": f"00000000-0000-4000-8000-{number:012d}", "code": "low-balance",
        "provider": "africastalking", "severity": severity, "reason": reason, "evidence": {},
        "suggestedCommand": None, "open": True, "since": ago(hours=2), "lastSeen": AT, "count": 1,
        "seenBy": ["a41f03c2"], "overAt": None, "overReason": None, "acknowledged": None,
        "told": None,
    }  # fmt: skip
    return usual | more


LOW_BALANCE: Final = alert(1, "warning", "USD 412.50 left, about 2 days at this share")
TAKEN: Final = LOW_BALANCE | {
    "acknowledged": {"by": "amina", "at": ago(hours=1), "reason": "ordered"}
}


def entries(changes: tuple[tuple[Any, ...], ...] = figures.CHANGES) -> list[dict[str, Any]]:
    """The control log, the newest entry first."""
    found = []
    for number, (hours, command, user, before, after, phase, reason) in enumerate(changes, 30):
        automatic = command.startswith("automatic")
        found.append(
            {
                "number": number, "at": ago(hours=hours), "user": user,
                "command": {"name": command, "reason": reason}, "verdict": "accepted",
                "code": command if automatic else "ok", "text": reason,
                "from": f"{phase} {before} %", "to": f"{phase} {after} %",
                "shareBefore": before, "shareAfter": after, "version": number, "gates": [],
                "evidence": {},
            }
        )  # fmt: skip
    return found[::-1]


def flags(share: int, **settings: Any) -> dict[str, Any]:
    return flags_document.document(Flags(migration=MigrationSettings(**settings)), share)


def state(percentage: int = 25, phase: str = "GradualMigration", **more: Any) -> dict[str, Any]:
    usual = {
        "version": 41, "phase": phase, "percentage": percentage, "previousPhase": "ParallelSetup",
        "startedAt": ago(hours=8.9), "initiatedBy": "amina", "isRollbackAvailable": True,
        "since": ago(hours=3, minutes=12), "share": percentage, "reason": "all gates open, week 2",
        "flags": flags(percentage),
    }  # fmt: skip
    return usual | more


def known(
    stand: dict[str, Any] | None = None,
    *,
    next_to: tuple[str, str] | None = ("step", "GradualMigration at 50 %"),
    asked: list[GateView] | None = None,
    watched: dict[str, Any] | None = None,
    replicas: list[dict[str, Any]] | None = None,
    alerts: list[dict[str, Any]] | None = None,
    changes: tuple[tuple[Any, ...], ...] = figures.CHANGES,
    log: list[dict[str, Any]] | None = None,
    target: dict[str, Any] | None = None,
    legacy: dict[str, Any] | None = None,
    **series: Any,
) -> Known:
    """What is known: the usual migration at 25 %, but for what is given."""
    stand = stand or state()
    asked = gates() if asked is None else asked
    told = reply("status", stand, asked)
    shut = [each.gate for each in asked if each.verdict in {"fail", "not enough data"}]
    status = StatusAnswer.model_validate(
        {
            "next": next_to and {"command": next_to[0], "to": next_to[1], "shut": shut},
            "monitor": watched or monitor(),
            "replicas": replicas or [replica("a41f03c2"), replica("9be2771d", inHand=9)],
            "alerts": [],
            "target": "africastalking",
            "legacy": "legacy",
        }
    )
    answer = Told(told, status, NOW - 0.3)
    share = stand["share"]
    return Known(
        now=NOW,
        status=answer,
        whole=answer,
        comparison=Told(told, figures.comparison(AT, share, target, legacy), NOW - 2.0),
        series=Told(told, figures.series(AT, changes, **series), NOW - 6.0),
        alerts=Told(told, AlertsAnswer.model_validate({"alerts": alerts or []}), NOW - 4.0),
        history=Told(
            told, HistoryAnswer.model_validate({"entries": log or entries(changes)}), NOW - 4.0
        ),
    )


def reply(
    name: str, stand: dict[str, Any] | None, asked: list[GateView] | None = None
) -> ControlReply:
    return ControlReply.model_validate(
        {
            "commandId": "a-query", "name": name, "verdict": "accepted", "code": "ok", "text": "",
            "version": 41, "state": stand, "gates": asked or [], "at": AT,
        }
    )  # fmt: skip


def older(found: Known, seconds: float) -> Known:
    """The same, so much later: no answer came since."""
    return replace(found, now=found.now + seconds)


# --- states --------------------------------------------------------------------------------

EARLY: Final = ((0.24, "advance", "amina", 0, 1, "ParallelSetup", "start of the pilot"),)
DOWN: Final = (
    *figures.CHANGES,
    (0.1, "automatic-rollback", "(monitor)", 25, 0, "Rollback",
     "roll back: failed: worse than legacy and failed: bad in itself"),
)  # fmt: skip
DECIDED: Final = signals(failed=(15.8, 16.3))


def not_started() -> Known:
    stand = state(
        0, "NotStarted", previousPhase=None, since=None, initiatedBy=None, startedAt=ago(days=9)
    )
    return known(
        stand, next_to=("advance", "ParallelSetup at 1 %"), asked=begin_gates(), changes=(),
        watched=monitor(), alerts=[TAKEN],
    )  # fmt: skip


def one_percent() -> Known:
    return known(
        state(1, "ParallelSetup", since=ago(minutes=14.2), initiatedBy="amina"),
        next_to=("step", "ParallelSetup at 5 %"), asked=early_gates(), changes=EARLY,
        watched=monitor(part=0.0404, failed=(0.1, 0.3), slow=(0.0, 0.0), undelivered=(0.2, 0.0)),
        alerts=[TAKEN],
    )  # fmt: skip


def running() -> Known:
    return known(alerts=[LOW_BALANCE], bad=(7.9, 7.4))


def all_open() -> Known:
    return known(asked=gates(shut=False), bad=(7.9, 7.4))


def automatic() -> Known:
    return known(state(flags=flags(25, auto_advance=True, require_approval=False)))


def approval(by: str = "(monitor)") -> Known:
    stand = state(
        flags=flags(25, auto_advance=True),
        proposed={
            "number": 42, "by": by, "phase": "GradualMigration", "percentage": 50,
            "expiresAt": AT + timedelta(hours=23),
        },
    )  # fmt: skip
    return known(stand, asked=gates(shut=False), alerts=[TAKEN], bad=(7.9, 7.4))


def own_proposal() -> Known:
    return approval(by="amina")


def held() -> Known:
    why = "amina (hold at GradualMigration at 25 %): waiting for the bank"
    return known(state(held=True, heldReason=why), bad=(7.9, 7.4))


def holds(code: str, text: str, severity: str = "critical", **more: Any) -> Known:
    """The monitor holds, and says so in an alert too."""
    told = alert(2, severity, text, code=code, since=ago(minutes=3))
    return known(watched=monitor((code, text), **more), alerts=[told, TAKEN])


def reports_missing() -> Known:
    text = "hold: not one delivery report of the target comes; see that they reach the webhook"
    return holds("reports-missing", text)


def misassigned() -> Known:
    return holds("misassigned", "hold: the share realised is not the 25 % configured")


def undecided() -> Known:
    text = "hold: failed: bad in itself; worse than legacy, as it seems: not proved yet"
    return holds("undecided", text, failed=(9.8, 14.1))


def account_refused() -> Known:
    text = "hold: the target refuses our account: 401 invalid API key"
    return holds("account-fault", text)


def sick_replica() -> Known:
    text = (
        "hold: replica 9be2771d fails 212 of its 260 calls to the target, the others 3 of 290: "
        "restart or isolate it"
    )
    return holds("sick-replica", text, failed=(13.9, 14.1))


def common_trouble() -> Known:
    text = "hold: common trouble: failed: bad in itself, legacy is no better"
    trouble = alert(2, "critical", text, code="common-trouble", since=ago(minutes=2))
    sick = replica("9be2771d", breakers={"africastalking": "half-open", "legacy": "closed"})
    return known(
        watched=monitor(("common-trouble", text), failed=(3.4, 14.6)),
        replicas=[replica("a41f03c2"), sick], alerts=[trouble, TAKEN],
        target={"failed": 4.1}, legacy={"failed": 4.6}, lately=(16.0, 17.0),
    )  # fmt: skip


def locked(
    until: datetime | None = AT + timedelta(minutes=26),
    next_to: tuple[str, str] = ("advance", "ParallelSetup at 1 %"),
    **more: Any,
) -> Known:
    why = "failed: worse than legacy and failed: bad in itself"
    reason = f"until {until:%Y-%m-%d %H:%M:%S} UTC: {why}" if until else why
    lock = {"reason": reason} | ({"until": until} if until else {})
    stand = state(
        0, "Rollback", version=42, initiatedBy="(monitor)", since=ago(minutes=6), lock=lock,
        locked=reason, automaticDowns=[ago(minutes=6)], previousPhase="GradualMigration",
    ) | more  # fmt: skip
    log = entries(DOWN)
    log[0]["evidence"] = sentences(DECIDED)
    told = alert(
        3, "critical", f"now Rollback at 0 %: roll back from GradualMigration at 25 %: {why}",
        code="automatic-rollback", open=False, since=ago(minutes=6), evidence=sentences(DECIDED),
    )  # fmt: skip
    return known(
        stand, next_to=next_to, asked=begin_gates(reason),
        replicas=[replica("a41f03c2", 42), replica("9be2771d", 42)], alerts=[told, TAKEN],
        changes=DOWN, log=log, target={"failed": 19.0}, bad=(0.3, 0.1),
    )  # fmt: skip


def locked_for_a_person() -> Known:
    return locked(None, automaticDowns=[ago(days=5), ago(days=2), ago(minutes=6)])


def stepped_back() -> Known:
    """The target keeps a part of its share."""
    found = locked(
        next_to=("step", "GradualMigration at 25 %"),
        phase="GradualMigration",
        percentage=10,
        share=10,
        flags=flags(10),
    )
    moved = (0.1, "automatic-step-back", "(monitor)", 25, 10, "GradualMigration",
             "step back: slow: worse than legacy")  # fmt: skip
    log = entries((*figures.CHANGES, moved))
    log[0]["evidence"] = sentences(signals(slow=(14.8, 3.0)))
    return replace(
        found,
        history=Told(found.whole.reply, HistoryAnswer.model_validate({"entries": log}), NOW - 4.0),
        series=Told(found.whole.reply, figures.series(AT, (*figures.CHANGES, moved)), NOW - 6.0),
    )


def rollback_wanted() -> Known:
    text = "hold: roll back wanted: failed: worse than legacy; EnableAutomaticRollback is false"
    told = alert(2, "critical", text, code="rollback-wanted", since=ago(minutes=2))
    return known(
        watched=monitor(("rollback-wanted", text), failed=(15.1, 14.2)), alerts=[told],
        target={"failed": 12.0}, lately=(19.0, 1.9),
    )  # fmt: skip


def no_way_back() -> Known:
    text = "hold: failed: worse than legacy; legacy is not enabled: there is no way back"
    told = alert(2, "critical", text, code="no-way-back", since=ago(minutes=2))
    return known(
        state(75, "LegacyDeprecation", isRollbackAvailable=False, share=100),
        watched=monitor(("no-way-back", text), failed=(15.1, 14.2)), alerts=[told],
        next_to=("step", "LegacyDeprecation at 90 %"), target={"failed": 12.0},
    )  # fmt: skip


def suspect() -> Known:
    return known(watched=monitor(failed=(8.1, 2.2)), target={"failed": 2.9})


def short() -> Known:
    return known(asked=gates(errors="2.40 %", shut=False), target={"failed": 2.4})


def blind() -> Known:
    return known(watched=monitor(looked_s=95.0))


def rolled_back() -> Known:
    why = "joseph (emergency-rollback at GradualMigration at 25 %): drill"
    stand = state(
        0, "Rollback", since=ago(minutes=40), initiatedBy="joseph", held=True, heldReason=why
    )
    by_hand = (0.67, "emergency-rollback", "joseph", 25, 0, "Rollback", "drill")
    return known(
        stand, next_to=("advance", "ParallelSetup at 1 %"), asked=begin_gates(),
        changes=(*figures.CHANGES, by_hand),
    )  # fmt: skip


def target_disabled() -> Known:
    return known(state(share=0, version=42), asked=begin_gates())


def complete() -> Known:
    final = (2.1, "advance", "amina", 98, 100, "CompleteMigration", "everything moved")
    before = (20.0, "step", "amina", 95, 98, "LegacyDeprecation", "soaked for a day")
    return known(
        state(100, "CompleteMigration", since=ago(hours=2.1)), next_to=None, asked=[],
        changes=(before, final),
    )  # fmt: skip


def retired() -> Known:
    found = complete()
    stand = state(
        100, "CompleteMigration", since=ago(days=3), legacyRetired=True, isRollbackAvailable=False
    )
    told = replace(found.whole, reply=reply("status", stand))
    return replace(found, status=told, whole=told)


def store_away() -> Known:
    found = running()
    alone = StatusAnswer.model_validate({"alerts": ["store unavailable (test): not known"]})
    later = older(found, 12.0)
    return replace(later, status=Told(reply("status", state()), alone, later.now - 0.3))


def silent(cause: Cause, text: str, seconds: float) -> Known:
    later = older(running(), seconds)
    return replace(later, silence=Silence(cause, text, later.now - seconds))


def broker_away() -> Known:
    return silent(Cause.BROKER_AWAY, "the broker cannot be reached", 40.0)


def no_worker() -> Known:
    return silent(Cause.NO_WORKER, "no worker answers", 9.0)


def login_refused() -> Known:
    return silent(Cause.LOGIN_REFUSED, "the broker refuses this login", 9.0)


def never_a_worker() -> Known:
    return Known(now=NOW, silence=Silence(Cause.NO_WORKER, "no worker answers", NOW - 30.0))


def first() -> Known:
    return Known(now=NOW)


def old() -> Known:
    return older(running(), 8.0)


def stale() -> Known:
    return older(running(), 34.0)


STATES: Final[Mapping[str, Callable[[], Known]]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        not_started, one_percent, running, all_open, automatic, approval, own_proposal, held,
        reports_missing, misassigned, undecided, account_refused, sick_replica, common_trouble,
        locked, locked_for_a_person, stepped_back, rollback_wanted, no_way_back, suspect, short,
        blind, rolled_back, target_disabled, complete, retired, store_away, broker_away,
        no_worker, login_refused, never_a_worker, first, old, stale,
    )
}  # fmt: skip
"""What is known, by the name of the state."""


@cache
def in_state(name: str) -> Known:
    """What is known in a state; made once."""
    return STATES[name]()
