"""Hostile reports on `sms.reports` to the real handler, with the adapters of every provider."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

import bson

from contracts.names import Queue
from contracts.reports import decode_report
from tests.support import hostile
from tests.support.fakes import KEY, HandClock, Publisher, Suppressed, incoming
from tests.torture.fuzz import corpus, listening, looping, mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets.refusals import is_line, quotes_nothing
from tests.torture.fuzz.targets.requests import account, africastalking
from worker.app.consumers import wrap
from worker.domain.messages.receipts import DeliveryReport, StoredReport
from worker.handlers.consent import Wishes
from worker.handlers.delivery_reports import ReportHandler
from worker.handlers.middleware import bounded_errors, logged
from worker.numbers import normaliser
from worker.ports.broker import Settlement
from worker.providers.http_gateway import HttpGateway
from worker.store.reports import _identity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class _Reports:
    """Keeps reports, each as the store would."""

    def __init__(self) -> None:
        self.kept: list[StoredReport] = []

    async def keep(
        self, report: DeliveryReport, hashed: str | None, at: datetime, trace: str | None = None
    ) -> StoredReport:
        stored = StoredReport(_identity(report, hashed), report, hashed, at, trace)
        self.kept.append(stored)
        return stored

    async def match(self, stored: StoredReport) -> bool:
        """Match none: what is matched is tested on the real store."""
        return stored in self.kept


class _Alerts:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def event(self, _code: Any, text: str, **_more: Any) -> None:
        self.texts.append(text)


class _Desk:
    """The handler over stand-ins."""

    def __init__(self) -> None:
        clock = HandClock()
        self.now = clock.now()
        self.reports, self.publisher = _Reports(), Publisher()
        self.suppressed, self.alerts = Suppressed(), _Alerts()
        wishes = Wishes(self.suppressed, _normalise(), KEY, self.alerts, clock)
        handler = ReportHandler(
            _providers(), self.reports, self.reports, wishes, self.publisher, clock
        )
        errors = functools.partial(
            bounded_errors, give_up=handler.give_up, publisher=self.publisher, clock=clock
        )
        self.handle = wrap(handler, [logged, errors])


@functools.cache
def _normalise() -> Any:
    return normaliser("ZM", frozenset({"ZM"}), strict=True)


@functools.cache
def _providers() -> dict[str, Any]:
    return {
        "at": africastalking(),
        "legacy": HttpGateway(account()),
        "kannel": HttpGateway(account(id="kannel", preset="kannel")),
    }


def check(data: bytes) -> str:
    """Handle it, and judge what is kept, wished, dead and said."""
    desk = _Desk()
    with listening.heard() as lines:
        settled = looping.awaited(desk.handle(incoming(body=data, queue=Queue.REPORTS)))
    must(settled is Settlement.ACK, "a report is settled", settled)
    must(not desk.publisher.parked, "no error of ours", [x for x in lines if "failed" in x])
    dead, kept = desk.publisher.dead_letters, desk.reports.kept
    wished = bool(desk.suppressed.wishes)
    must(len(dead) + len(kept) + wished == 1, "a report is kept, a wish, or dead", (dead, kept))
    for text in (*lines, *desk.alerts.texts, *(reason for reason, _ in dead)):
        quotes_nothing(text)
    for reason, _ in dead:
        is_line(reason)
        return f"refused: {''.join(char for char in reason if not char.isdigit())[:60]}"
    _is_kept_with_proof(data, desk)
    if kept:
        _can_be_stored(kept[0])
        return f"read: {kept[0].report.provider} {kept[0].report.delivery}"
    return "read: a wish"


def _is_kept_with_proof(data: bytes, desk: _Desk) -> None:
    """What is kept is about a message or a number that the report names."""
    raw = decode_report(data)
    for stored in desk.reports.kept:
        must(stored.received_at <= desk.now, "nothing is received later than now")
        report = stored.report
        must(report.provider == raw.provider, "a report is of the provider that sent it", report)
        named = (report.message_id, report.provider_message_id, stored.recipient_hash)
        must(any(named), "a report names a message or a number", raw.fields)
        ours = (report.message_id, report.provider_message_id)
        given = {value.strip() for value in raw.fields.values()} | set(raw.fields.values())
        must(all(each is None or each in given for each in ours), "ids stay as they came", ours)


def _can_be_stored(stored: StoredReport) -> None:
    report = stored.report
    document = {
        "_id": stored.id, "provider": report.provider, "status": report.status,
        "pid": report.provider_message_id, "mid": report.message_id, "epoch": report.epoch,
        "reason": report.reason, "network": report.network_code, "at": stored.received_at,
    }  # fmt: skip
    read = bson.decode(bson.encode(document))
    same = {name: value for name, value in read.items() if name != "at"}
    document.pop("at")
    must(same == document, "what is stored of a report reads the same", same)


@functools.cache
def seeds() -> Sequence[bytes]:
    """Reports of every provider and kind, and hostile ones."""
    fields = (
        {"id": "ATXid_1", "status": "Success", "phoneNumber": hostile.NUMBER, "networkCode": "1"},
        {"reference": "m-1", "epoch": "2", "id": "g-1", "status": "DELIVERED", "to": "0977654321"},
        {"id": "m-1", "epoch": "1", "type": "2", "foreign": "f"},
        {"phoneNumber": hostile.NUMBER, "senderId": "ACME"},
        {"to": "tel:+260977654321", "from": "ACME"},
    )
    made = [
        {"provider": name, "kind": kind, "receivedAt": "2026-03-01T08:30:00Z", "fields": each}
        for name in _providers()
        for kind in ("delivery", "optout", "optin")
        for each in fields
    ]
    hostile_ones = [body for _, _, body, _ in hostile.raw_reports(60)]
    return [*(json.dumps(each).encode() for each in made), *corpus.golden("RawReport.json"),
            *hostile_ones]  # fmt: skip


_NAMES: Final = (
    "provider", "kind", "receivedAt", "fields", "id", "status", "phoneNumber", "failureReason",
    "reference", "epoch", "to", "from", "type", "foreign", "reason", "senderId", "networkCode",
)  # fmt: skip
_VALUES: Final = (
    "at", "legacy", "kannel", "nobody", "delivery", "optout", "optin", "UserInBlacklist",
    "opted_out", " m-1", "m-1 ", "999999", "1000000", "+260977654321", "0977654321", "DELIVERED",
)  # fmt: skip

TARGET: Final = Target(
    name="reports",
    takes="body of a report as the webhook publishes it",
    holds="kept, recorded as a wish, or dead with a reason; never an error of ours; about what it "
    "names; storable; no number and no text in logs, reasons and alerts",
    check=check,
    seeds=seeds,
    share=60,
    mutators=(mutate.json_like(_NAMES, _VALUES),),
)
