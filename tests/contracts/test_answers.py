"""What queries answer, byte by byte: programs read it that no model of ours reaches."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from contracts import control
from contracts.answers import ANSWERS as MODELS
from contracts.codec import encode
from contracts.health import ComparisonMetric, HealthMetric
from tests.support.alert_fakes import MemoryBook
from tests.support.control_fakes import PROVEN, ROLES, MemoryLog, begun, consents, deciding
from tests.support.fakes import EPOCH, Guard, HandClock, Snapshots, Suppressed
from worker.control.preview import Previews
from worker.control.queries import QueryHandler
from worker.control.status import CurrentStatus
from worker.domain.alerts.notices import Acknowledged, AlertObservation, Kind, Told
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.figures.health import Subject
from worker.domain.figures.periods import SlotSums
from worker.domain.messages.consent import EVERY_SENDER, Wish
from worker.domain.messages.message import Recipient
from worker.domain.migration.access import AccessRole, commands_of
from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import Role
from worker.domain.migration.replicas import Heartbeat, LiveReplica, Process
from worker.monitoring.health_reports import Reporting
from worker.monitoring.measures import Measuring
from worker.monitoring.series import TimeSeries
from worker.numbers import normaliser
from worker.ports.broker import Incoming

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.domain.figures.series import Period

FEW = Measures(accepted=90, errors=3, p95_ms=150.0, per_s=0.5)
ANSWERS = Path(__file__).parent / "answers"
LATER = timedelta(seconds=90)
OPS = {
    "accepted": 90,
    "not_sent_provider": 2,
    "unknown": 1,
    "refused": 3,
    "segments": 120,
    "duration_us": 9_000_000,
    "latency:5": 90,
    "delivered": 40,
    "undelivered": 2,
    "cost:ZMW": Decimal("12.3400"),
    "cost:USD": Decimal("0.8"),
}


class Slots:
    """Sums of both providers; legacy did nothing."""

    async def sum(self, since: datetime, until: datetime) -> Mapping[str, Mapping[str, Any]]:
        assert since < until
        return {"africastalking": OPS}

    async def series(self, shown: Period, names: Sequence[str]) -> list[SlotSums]:
        sums = {name: int(OPS.get(name, 0)) for name in names}
        return [SlotSums("africastalking", shown.starts[3], sums)]


class Replicas:
    """One replica that follows, one that began just now."""

    async def list(self) -> list[LiveReplica]:
        return [
            LiveReplica(
                Heartbeat(
                    "r-1",
                    3,
                    2,
                    {"legacy": "open"},
                    {"legacy": "401"},
                    7,
                    consuming=True,
                    process=Process("0.1.0", "pod-7", EPOCH),
                ),
                0.123456,
            ),
            LiveReplica(Heartbeat("r-2", None, None, {}, {}, 0, consuming=False), 1.0),
        ]


class Provider:
    """An account."""

    def __init__(self, ident: str) -> None:
        self.id, self.gives_reports = ident, ident == "africastalking"


class Nobody:
    """Takes replies and metrics."""

    def __init__(self) -> None:
        self.replies: list[bytes] = []

    async def reply(self, _user: str, _ident: str, body: bytes) -> None:
        self.replies.append(body)

    def metric(self, key: str, body: bytes) -> None:
        pass


async def book_of(clock: HandClock) -> MemoryBook:
    book = MemoryBook(clock)
    for number, (code, provider, ends) in enumerate(
        (("account", "legacy", True), ("store", None, True), ("state", None, False))
    ):
        ident = f"0000000{number}-0000-5000-8000-000000000000"
        await book.record(
            AlertObservation(
                ident,
                code,
                provider,
                "critical" if ends else "info",
                f"reason {number}",
                clock.now(),
                ends,
                suggested_command="sms-worker ctl status" if ends else None,
                evidence={"answer": "401"} if provider else None,
            )
        )
    first, second, _ = book.alerts
    taken = Acknowledged("ann", clock.now(), "mine")
    told = Told(Kind.NEW, clock.now())
    book.alerts[first] = replace(book.alerts[first], acknowledged=taken, told=told)
    over = {"over_at": clock.now() + LATER, "over_reason": "the store is back"}
    book.alerts[second] = replace(book.alerts[second], **over)
    return book


async def log_of(clock: HandClock) -> MemoryLog:
    log = MemoryLog(clock)
    await begun(log, 25)
    _, state = cast("tuple[int, Any]", await log.last())
    after = replace(state, version=2, percentage=50, notes="because", initiated_by="ann")
    gate = {"gate": "lock", "required": "none", "measured": "none", "sample": None}
    await log.append(
        LogEntry(
            2,
            "ann",
            "c-2",
            {"fingerprint": "f", "name": "step", "commandId": "c-2", "reason": "because"},
            "accepted",
            state,
            after,
            {"code": "ok", "text": "step: now GradualMigration at 50 %"},
            {"gates": [gate | {"verdict": "pass", "missing": None}], "shown": {"failed": "few"}},
        )
    )
    return log


async def answered(query: control.Query, *, away: bool = False) -> dict[str, Any]:
    """The data of the answer to a query, as published."""
    reply = await replied(query, away=away)
    assert reply["verdict"] == "accepted", reply["text"]
    found: dict[str, Any] = reply["data"]
    return found


async def replied(
    query: control.Query, *, away: bool = False, user: str | None = "eve", **more: Any
) -> dict[str, Any]:
    """The whole reply to a query, as published."""
    clock, nobody, suppressed = HandClock(), Nobody(), Suppressed()
    log, book = await log_of(clock), await book_of(clock)
    _, state = cast("tuple[int, Any]", await log.last())
    snapshots = Snapshots(state)
    log.away = book.away = away

    async def evidence(_lineage: str) -> Any:
        return PROVEN

    async def checkpoint(_lineage: str) -> Checkpoint:
        held = {"holding": "hold: no way back", "hold_reason": HoldReason.NO_WAY_BACK}
        return Checkpoint(7, clock.now(), PROVEN, {}, age_s=2.34, **cast("Any", held))

    async def measures(_state: Any) -> Measures:
        return FEW

    async def volume() -> float:
        return 1_234.0

    for hashed, sender in (("a" * 64, EVERY_SENDER), ("b" * 64, "ACME")):
        wish = Wish(sender, stopped=True, at=clock.now(), source="command of ann")
        mask = "+26097***456" if sender == EVERY_SENDER else ""
        await suppressed.put(Recipient(hashed, mask), wish)
    target, legacy = cast("Any", Provider("africastalking")), cast("Any", Provider("legacy"))
    measuring = Measuring(Slots(), target, legacy, clock, evidence)
    guards = {Role.TARGET: Guard("africastalking"), Role.LEGACY: Guard("legacy", is_open=True)}
    handler = QueryHandler(
        status=CurrentStatus(
            log=log,
            book=book,
            replicas=cast("Any", Replicas()),
            snapshots=snapshots,
            figures=measuring.figures,
            measures=measures,
            checkpoint=checkpoint,
            alerts=lambda: ["account (legacy): 401"],
            guards=guards,
            clock=clock,
        ),
        previews=Previews(log, deciding(log, FEW, book, consents(suppressed)), volume, clock),
        series=TimeSeries(Slots(), log, "africastalking", "legacy", clock).last_hours,
        log=log,
        book=book,
        snapshots=snapshots,
        reporting=Reporting(
            sums=measuring.sums,
            target=Subject("africastalking", Role.TARGET, gives_reports=True),
            legacy=Subject("legacy", Role.LEGACY, gives_reports=False),
            snapshots=snapshots,
            broadcast=nobody,
            clock=clock,
        ),
        guards=guards,
        normalise=normaliser("ZM", frozenset({"ZM"}), strict=True),
        consents=consents(suppressed),
        replier=cast("Any", nobody),
        roles=ROLES,
        clock=clock,
    )
    asked = Incoming(
        queue="sms.control.query",
        body=encode(query),
        redelivered=False,
        headers={},
        user_id=user,
        routing_key=f"control.query.{query.name}",
    )
    await handler(replace(asked, **more))
    reply: dict[str, Any] = json.loads(nobody.replies[0])
    return reply


def asked(kind: type[control.ControlQuery], **fields: Any) -> control.Query:
    return cast("control.Query", kind(command_id="q-1", **fields))


QUERIES = {
    "status": (asked(control.Status), False),
    "status.store-away": (asked(control.Status), True),
    "health": (asked(control.Health, hours=2.0), False),
    "comparison": (asked(control.Comparison), False),
    "history": (asked(control.History), False),
    "explain": (asked(control.Explain, to="0977123456", user_id="u"), False),
    "alerts": (asked(control.Alerts), False),
    "preview": (asked(control.Preview, command={"name": "advance"}), False),
    "preview.flags": (asked(control.Preview, command={"name": "set-flags", "flags": {}}), False),
    "preview.wrong": (
        asked(control.Preview, command={"name": "set-percentage", "percentage": 101, "to": 5}),
        False,
    ),
    "series": (asked(control.Series, hours=0.1), False),
    "suppressions": (asked(control.Suppressions), False),
    "suppressions.one": (asked(control.Suppressions, number="0977123456"), False),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_an_answer_is_published_as_it_always_was(name: str) -> None:
    query, away = QUERIES[name]
    written = json.dumps(await answered(query, away=away), indent=1)
    assert written == (ANSWERS / f"{name}.json").read_text(encoding="utf-8").rstrip("\n")


@pytest.mark.parametrize("name", QUERIES)
def test_the_model_of_an_answer_reads_it_and_writes_the_same(name: str) -> None:
    query, _ = QUERIES[name]
    written = json.loads((ANSWERS / f"{name}.json").read_bytes())
    read = MODELS[type(query)].model_validate(written)
    left_out = {"event"} if isinstance(read, HealthMetric | ComparisonMetric) else set()
    again = read.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=left_out)
    assert again == written


@pytest.mark.parametrize(("user", "role"), ROLES.items())
@pytest.mark.parametrize("name", QUERIES)
async def test_an_answer_says_who_asked_and_what_the_role_may_do(
    name: str, user: str, role: AccessRole
) -> None:
    query, away = QUERIES[name]
    reply = await replied(query, away=away, user=user)
    commands = [str(each) for each in commands_of(role)]
    assert reply["you"] == {"user": user, "role": role.value, "commands": commands}


@pytest.mark.parametrize(
    "more", [{"user": "mallory"}, {"headers": {"CC": ["x"]}}, {"routing_key": "elsewhere.status"}]
)
async def test_who_or_what_cannot_be_trusted_is_told_no_role(more: dict[str, Any]) -> None:
    reply = await replied(asked(control.Status), **more)
    assert (reply["code"], reply.get("you")) == ("forbidden", None)


@pytest.mark.parametrize(
    ("query", "more", "code"),
    [
        (asked(control.History), {"away": True}, "store unavailable"),
        (asked(control.Status), {"body": b'{"wrong": 1}'}, "invalid"),
    ],
)
async def test_a_refused_query_is_answered_with_who_asked(
    query: control.Query, more: dict[str, Any], code: str
) -> None:
    reply = await replied(query, **more)
    assert (reply["code"], reply["you"]["user"]) == (code, "eve")


def test_every_query_has_a_model_of_its_answer() -> None:
    assert set(MODELS) == set(control.QUERIES)


def test_every_query_has_a_golden_answer() -> None:
    names = {name.partition(".")[0] for name in QUERIES}
    assert names == {str(kind.model_fields["name"].default) for kind in control.QUERIES}
