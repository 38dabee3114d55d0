"""A delivery from `sms.reports`: read, kept, matched; what cannot be read is dead with its reason.

How reports find their messages is in tests/integration/test_reports_store.py, on the real store.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contracts.names import Header
from tests.support.fakes import EPOCH, KEY, NUMBER, HandClock, Publisher, Suppressed, incoming
from worker.domain.messages import masking
from worker.domain.messages.consent import EVERY_SENDER, Wish
from worker.domain.messages.message import Delivery
from worker.domain.messages.receipts import DeliveryReport, OptIn, OptOut, StoredReport
from worker.handlers.consent import Wishes
from worker.handlers.delivery_reports import ReportHandler
from worker.handlers.retry_tiers import TIERS
from worker.numbers import normaliser
from worker.ports.broker import Incoming, Settlement
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.alerts.alert_codes import AlertCode

HASH = masking.recipient(KEY, NUMBER).hash
READ = DeliveryReport(
    "at", Delivery.DELIVERED, "Success", provider_message_id="at-1", to="0977123456"
)


class Adapter:
    """Reads every callback as told."""

    def __init__(self, answer: DeliveryReport | OptOut | OptIn | Exception) -> None:
        self.answer = answer

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut | OptIn:
        self.asked = (kind, dict(fields))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Kept:
    def __init__(self) -> None:
        self.kept: list[tuple[DeliveryReport, str | None]] = []
        self.away = False

    async def keep(
        self, report: DeliveryReport, hashed: str | None, at: Any, trace: str | None = None
    ) -> StoredReport:
        if self.away:
            raise StoreUnavailable("test")
        self.kept.append((report, hashed))
        self.received_at = at
        return StoredReport("r-1", report, hashed, at, trace)


class Matcher:
    def __init__(self) -> None:
        self.matched: list[StoredReport] = []

    async def match(self, stored: StoredReport) -> bool:
        self.matched.append(stored)
        return False


class Alerts:
    """What was told: code, reason, severity."""

    def __init__(self) -> None:
        self.told_of: list[tuple[str, str, str]] = []

    def event(self, code: AlertCode, reason: str, **more: Any) -> None:
        del more
        self.told_of.append((code, reason, code.severity))


class Harness:
    def __init__(self, answer: DeliveryReport | OptOut | OptIn | Exception) -> None:
        self.adapter, self.reports, self.matcher = Adapter(answer), Kept(), Matcher()
        self.suppressed, self.publisher, self.alerts = Suppressed(), Publisher(), Alerts()
        self.wishes = Wishes(
            suppressions=self.suppressed,
            normalise=normaliser("ZM", frozenset({"ZM"}), strict=True),
            key=KEY,
            alerts=self.alerts,
            clock=HandClock(),
        )
        self.handler = ReportHandler(
            providers={"at": self.adapter},
            reports=self.reports,
            matcher=self.matcher,
            wishes=self.wishes,
            publisher=self.publisher,
            clock=HandClock(),
        )


NOW = HandClock().now()


def report(
    kind: str = "delivery", provider: str = "at", at: str = EPOCH.isoformat(), **changes: Any
) -> Incoming:
    body = {
        "provider": provider,
        "kind": kind,
        "receivedAt": at,
        "fields": {"id": "at-1"},
    }
    changes = {"body": json.dumps(body).encode(), "queue": "sms.reports"} | changes
    return incoming(**changes)


async def test_a_report_is_kept_with_a_hash_and_then_matched() -> None:
    bench = Harness(READ)
    assert await bench.handler(report()) is Settlement.ACK
    assert bench.reports.kept == [(READ, HASH)]
    assert [stored.id for stored in bench.matcher.matched] == ["r-1"]
    assert bench.adapter.asked == ("delivery", {"id": "at-1"})


@pytest.mark.parametrize("to", [None, "abc"])
async def test_a_report_without_a_usable_number_is_kept_without_a_hash(to: str | None) -> None:
    bench = Harness(DeliveryReport("at", Delivery.DELIVERED, "Success", "at-1", to=to))
    await bench.handler(report())
    assert bench.reports.kept[0][1] is None


@pytest.mark.parametrize(
    "number",
    [
        "0977123456",
        "977123456",
        "260977123456",
        " 260977123456",  # a form turned the plus sign into a blank
        "00260977123456",
        "+260977123456",
        "tel:+260977123456",
        "+260 (0) 977 123456",
    ],
)
@pytest.mark.parametrize(("sender_id", "unwanted"), [("Promo", "promo"), (None, EVERY_SENDER)])
async def test_an_opt_out_is_recorded_for_the_number_that_a_command_means(
    number: str, sender_id: str | None, unwanted: str
) -> None:
    bench = Harness(OptOut("at", number, sender_id))
    assert await bench.handler(report("optout")) is Settlement.ACK
    wish = Wish(unwanted, stopped=True, at=EPOCH, source="callback of at")
    assert (bench.suppressed.wishes, bench.reports.kept) == ({HASH: (wish,)}, [])
    assert bench.alerts.told_of == []


async def test_an_opt_in_takes_the_opt_out_back() -> None:
    bench = Harness(OptIn("at", "0977123456", "Promo"))
    await bench.suppressed.opt_out(masking.recipient(KEY, NUMBER), "PROMO")
    assert await bench.handler(report("optin")) is Settlement.ACK
    assert not bench.suppressed.stops(HASH, frozenset({"promo"}))


@pytest.mark.parametrize("number", ["abc", "96xxxxxxx", "+26097****456", "", "97712345.0"])
async def test_an_opt_out_of_no_readable_number_is_dead_and_an_alert(number: str) -> None:
    bench = Harness(OptOut("at", number))
    assert await bench.handler(report("optout")) is Settlement.ACK
    assert bench.suppressed.wishes == {}
    (dead,) = [why for why, _ in bench.publisher.dead_letters]
    assert dead.startswith("report not understood: number: expected")
    ((code, reason, severity),) = bench.alerts.told_of
    assert (code, severity) == ("opt-out-lost", "critical")
    assert "told by at could not be recorded" in reason


@pytest.mark.parametrize(
    ("delivery", "answer"),
    [
        (report("optout", provider="who"), READ),
        (report("optout"), ValueError("to: expected the subscriber's number, got none")),
    ],
)
async def test_an_opt_out_that_is_dead_for_another_reason_is_an_alert_too(
    delivery: Incoming, answer: Any
) -> None:
    bench = Harness(answer)
    await bench.handler(delivery)
    assert [code for code, _, _ in bench.alerts.told_of] == ["opt-out-lost"]


async def test_an_opt_out_our_own_code_fails_on_is_an_alert() -> None:
    bench = Harness(READ)
    await bench.handler.give_up(report("optout"), "our own error: KeyError")
    assert [code for code, _, _ in bench.alerts.told_of] == ["opt-out-lost"]


@pytest.mark.parametrize("kind", ["delivery", "optin"])
async def test_other_callbacks_that_are_dead_are_no_alert(kind: str) -> None:
    bench = Harness(ValueError("no id"))
    await bench.handler(report(kind))
    assert (len(bench.publisher.dead_letters), bench.alerts.told_of) == (1, [])


UNWANTED = replace(READ, delivery=Delivery.UNDELIVERED, opted_out=True)
MASKED = replace(UNWANTED, to="+26097****456")
AHEAD = ["9999-12-31T23:59:59Z", (NOW + timedelta(hours=1)).isoformat()]


@pytest.mark.parametrize("at", AHEAD)
async def test_a_way_back_dated_in_the_future_outlasts_no_later_opt_out(at: str) -> None:
    bench = Harness(OptIn("at", "0977123456"))
    await bench.handler(report("optin", at=at))
    bench.adapter.answer = OptOut("at", "0977123456")
    await bench.handler(report("optout", at=NOW.isoformat()))
    assert bench.suppressed.stops(HASH, frozenset({"bank"}))


@pytest.mark.parametrize("at", AHEAD)
async def test_a_report_dated_in_the_future_was_received_now(at: str) -> None:
    bench = Harness(READ)
    await bench.handler(report(at=at))
    assert bench.reports.received_at == NOW


async def test_an_opt_out_by_a_report_of_no_id_and_a_masked_number_is_dead_and_an_alert() -> None:
    bench = Harness(replace(MASKED, provider_message_id=None))
    await bench.handler(report())
    assert len(bench.publisher.dead_letters) == 1
    assert [code for code, _, _ in bench.alerts.told_of] == ["opt-out-lost"]


async def test_an_opt_out_by_a_report_our_own_code_fails_on_is_an_alert() -> None:
    bench = Harness(UNWANTED)
    await bench.handler.give_up(report(), "our own error: KeyError")
    assert [code for code, _, _ in bench.alerts.told_of] == ["opt-out-lost"]


async def test_an_opt_out_in_a_body_of_the_wrong_form_is_an_alert() -> None:
    bench = Harness(READ)
    await bench.handler(report(body=b'{"kind": "optout", "provider": {"no": "name"}}'))
    assert [code for code, _, _ in bench.alerts.told_of] == ["opt-out-lost"]


@pytest.mark.parametrize(
    ("told", "waited_s", "codes"),
    [(MASKED, 30, []), (MASKED, 90, ["opt-out-lost"]), (replace(MASKED, opted_out=False), 90, [])],
)
async def test_an_opt_out_by_a_report_of_an_unknown_id_and_number_is_an_alert_after_a_minute(
    told: DeliveryReport, waited_s: int, codes: list[str]
) -> None:
    bench = Harness(READ)
    at = NOW - timedelta(seconds=waited_s)
    await bench.wishes.of_nobodys_report(StoredReport("r-1", told, None, at))
    assert [code for code, _, _ in bench.alerts.told_of] == codes
    assert bench.suppressed.wishes == {}


async def test_a_report_of_neither_an_id_nor_a_readable_number_is_dead() -> None:
    bench = Harness(DeliveryReport("at", Delivery.DELIVERED, "Success", to="abc"))
    await bench.handler(report())
    reason = "report not understood: expected a message id or a number of ours, got neither"
    assert [why for why, _ in bench.publisher.dead_letters] == [reason]


@pytest.mark.parametrize(("waited_s", "recorded"), [(30, False), (90, True)])
async def test_an_opt_out_told_by_a_report_of_nobody_s_counts_for_every_sender_after_a_minute(
    waited_s: int, *, recorded: bool
) -> None:
    bench = Harness(READ)
    at = NOW - timedelta(seconds=waited_s)
    await bench.wishes.of_nobodys_report(StoredReport("r-1", UNWANTED, HASH, at))
    found = {
        hashed: [wish.sender for wish in wishes]
        for hashed, wishes in bench.suppressed.wishes.items()
    }
    assert found == ({HASH: [EVERY_SENDER]} if recorded else {})


@pytest.mark.parametrize(
    ("delivery", "answer", "reason"),
    [
        (report(provider="who"), READ, "report of a provider that is not configured"),
        (report(body=b"{"), READ, "not JSON"),
        (report(body=b"{}"), READ, "not a report"),
        (report(), ValueError("no id"), "report not understood: no id"),
    ],
)
async def test_what_cannot_be_read_is_dead_with_its_reason(
    delivery: Incoming, answer: Any, reason: str
) -> None:
    bench = Harness(answer)
    assert await bench.handler(delivery) is Settlement.ACK
    assert [why for why, _ in bench.publisher.dead_letters] == [reason]
    assert bench.reports.kept == []


async def test_while_the_store_is_away_a_report_waits_ever_longer() -> None:
    bench = Harness(READ)
    bench.reports.away = True
    delivery = report()
    for _ in range(6):
        assert await bench.handler(delivery) is Settlement.ACK
        delivery = report(headers=bench.publisher.parked[-1][1])
    assert [tier for tier, _ in bench.publisher.parked] == [*TIERS, "10m", "10m"]
    assert delivery.headers[Header.REPORT_TRIES] == 6


async def test_a_report_our_own_code_fails_on_is_given_up() -> None:
    bench = Harness(READ)
    assert await bench.handler.give_up(report(), "our own error: KeyError") is Settlement.ACK
    assert bench.publisher.dead_letters[0][0] == "our own error: KeyError"
