"""One document of every kind, written through the stores as a worker writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.support.fakes import StoreTroubles
from tests.support.stored_samples import AT, evidence, inputs, state
from worker.domain.alerts.notices import AlertObservation
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.detection.rerun import recorded
from worker.domain.messages.consent import Wish
from worker.domain.messages.message import (
    Attempt,
    Delivery,
    Lane,
    Lease,
    Message,
    OnUnknown,
    Recipient,
    Record,
    State,
    StoredEvent,
)
from worker.domain.messages.outcome import Accepted, Blame, Money, NotSent, Unknown
from worker.domain.messages.receipts import DeliveryReport
from worker.domain.messages.writes import Finished, TerminalWrite
from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.phases import Role
from worker.domain.migration.replicas import Heartbeat, Process
from worker.service import Background
from worker.store.alerts import AlertStore
from worker.store.cohorts import CohortStore
from worker.store.control_log import ControlLogStore
from worker.store.due import DueStore
from worker.store.evidence import EvidenceStore
from worker.store.failures import FailureStore
from worker.store.messages import MessageStore
from worker.store.replicas import ReplicaStore
from worker.store.reports import ReportStore
from worker.store.slots import SlotStore
from worker.store.states import Retention
from worker.store.suppressions import SuppressionStore

if TYPE_CHECKING:
    from worker.store.client import Database

COST = Money(Decimal("0.80"), "ZMW")
SENT = Finished(Accepted("at-1", COST, 2), 31.5, COST)
MAYBE = Finished(Unknown("timeout", "no answer in time"), 30_000.0)
REFUSED = Finished(NotSent(Blame.PROVIDER, "503", "busy"), 12.0)
ARRIVED = DeliveryReport(
    "at", Delivery.DELIVERED, "Success", "at-1", "m-1", 2, None, "read", "64501"
)
T = Lane.TRANSACTIONAL


class Clock:
    """Stands still."""

    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Slot:
    counts: dict[str, int | Decimal] = field(
        default_factory=lambda: {"accepted": 3, "cost:ZMW": Decimal("2.40")}
    )
    at: datetime = AT
    provider: str = "at"
    span: int = 10


@dataclass(frozen=True)
class Day:
    counts: dict[str, int | Decimal] = field(default_factory=lambda: {"accepted": 3})
    day: date = date(2026, 3, 1)
    provider: str = "at"
    branch_id: int | None = 7
    message_type: str = "Standard"


@dataclass(frozen=True)
class Cohort:
    counts: dict[str, int] = field(default_factory=lambda: {"eligible_ok": 3, "any_open": 1})
    at: datetime = AT
    provider: str = "at"


async def write_all(database: Database) -> None:
    """Write every kind into an empty database."""
    await _control_log(database)
    await _evidence(database)
    await _messages(database)
    await _alerts(database)
    report = ReportStore(database["reports"], Clock(), keep_s=7_200)
    await report.keep(ARRIVED, "the recipient's hash", AT)
    process = Process("0.1.0", "a host", AT)
    heartbeat = Heartbeat(
        "ours", 7, 6, {"at": "open"}, {"at": "balance"}, 3, consuming=True, process=process
    )
    await ReplicaStore(database["replicas"]).write_heartbeat(heartbeat)
    unwanted = Wish("bank", stopped=True, at=AT, source="refused by at")
    suppressions = SuppressionStore(database["suppressions"], lambda _: None, Clock())
    await suppressions.record(Recipient("a hash", "+260******456"), unwanted)
    await SlotStore(database, "ours", retention_days=30).write([Slot()], [Day()])
    await CohortStore(database["cohorts"], "ours").write([Cohort()])
    failed = FailureStore(database["failed_recipients"], Clock())
    await failed.first(["2026-03-01:failed:at:the recipient's hash"])


async def _control_log(database: Database) -> None:
    log, before = ControlLogStore(database["control_log"], Clock()), state()
    entry = LogEntry(
        number=12,
        user="anna",
        command_id="c-1",
        command={"name": "step", "reason": "all is well"},
        verdict="accepted",
        before=before,
        after=before,
        reply={"code": "stepped", "text": "now 25 %"},
        evidence={"gates": [{"name": "lock"}], **recorded(inputs(), evidence(2))},
    )
    await log.append(entry)


async def _evidence(database: Database) -> None:
    made = Checkpoint(
        tick=1,
        at=AT,
        evidence=evidence(2),
        counted={"at 1772366400": {"accepted": 3}},
        holding="hold: the account",
        hold_reason=HoldReason.ACCOUNT,
        holds={HoldReason.ACCOUNT: AT},
        since=AT,
    )
    await EvidenceStore(database["evidence"]).write("lineage", made)


async def _alerts(database: Database) -> None:
    book = AlertStore(database["alerts"], "ours")
    seen = AlertObservation(
        id="a-1",
        code="account",
        provider="at",
        severity="critical",
        reason="401",
        at=AT,
        ends=True,
        suggested_command="sms-worker ctl status",
        evidence={"a.b": "1"},
    )
    await book.record(seen, told=True)
    await book.acknowledge("a-1", "anna", "on it")
    ((alert, now),) = await book.recent()
    await book.claim(alert, now)
    await book.in_vain(alert, now, ("ops@example.org",))


async def _messages(database: Database) -> None:
    collection = database["messages"]
    store = MessageStore(
        collection,
        owner="ours",
        lease_s=48.0,
        retention=Retention(delivery_age_s=600, report_deadline_s=3_600, keep_s=7_200),
        clock=Clock(),
        health=StoreTroubles(),
        referenced=lambda _: None,
        background=Background(),
    )
    await store.start()
    resent = await store.intend(
        await _claimed(store, "m-accepted"), _attempt(2, resend=True), MAYBE, lane=T
    )
    await store.settle(_lease(resent), State.ACCEPTED, SENT, _events("sms.sent"), lane=T)
    due = DueStore(collection, Clock(), report_deadline_s=3_600)
    record = await store.look("m-accepted")
    assert record is not None
    await due.report(record, 2, ARRIVED, _events("sms.delivered"), proves=False)
    await store.wait(await _claimed(store, "m-waiting"), REFUSED, counted=True, lane=T)
    held = await _claimed(store, "m-unknown")
    await store.settle(held, State.UNKNOWN, MAYBE, _events("sms.unknown"), lane=T)
    await store.late(held, SENT)
    await _claimed(store, "m-submitting")
    rejected = TerminalWrite("m-rejected", State.REJECTED, _events("sms.rejected"))
    await store.close_new(rejected)
    await store.stop()


async def _claimed(store: MessageStore, ident: str) -> Lease:
    message = Message(
        id=ident,
        to="+260977123456",
        text="Your code is 1234",
        fingerprint="a fingerprint",
        recipient=Recipient("the recipient's hash", "+260******456"),
        lane=T,
        on_unknown=OnUnknown.RESEND,
        expires_at=AT + timedelta(minutes=10),
        message_type="Code",
        user_id="u-7",
        branch_id=7,
        correlation_id="c-9",
        segments=2,
        probe=Role.TARGET,
    )
    return _lease(await store.claim(message, _attempt(1)))


def _attempt(epoch: int, **changes: Any) -> Attempt:
    first = epoch == 1
    return Attempt(
        epoch, "at", 7, "percentage 25", eligible=first, at=AT, sender_id="BANK", **changes
    )


def _lease(held: Lease | Record) -> Lease:
    assert isinstance(held, Lease)
    return held


def _events(name: str) -> tuple[StoredEvent, ...]:
    return (StoredEvent(name, 1, '{"messageId":"m-1"}', f"e-{name}"),)
