"""A delivery from `sms.reports`: read, kept, matched; what cannot be read is dead with its reason.

How reports find their messages is in tests/integration/test_reports_store.py, on the real store.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fakes import EPOCH, KEY, NUMBER, HandClock, Publisher, Suppressed, incoming

from contracts.names import Header
from worker.domain import recipient
from worker.domain.delivery import OptOut, Report, StoredReport
from worker.domain.message import Delivery
from worker.handlers.report import TIERS, ReportHandler
from worker.numbers import normaliser
from worker.ports import Incoming, Settlement, StoreAway

if TYPE_CHECKING:
    from collections.abc import Mapping

HASH = recipient.recipient(KEY, NUMBER).hash
READ = Report("at", Delivery.DELIVERED, "Success", provider_message_id="at-1", to="0977123456")


class Adapter:
    """Reads every callback as told."""

    def __init__(self, answer: Report | OptOut | Exception) -> None:
        self.answer = answer

    def read_report(self, kind: str, fields: Mapping[str, str]) -> Report | OptOut:
        self.asked = (kind, dict(fields))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Kept:
    def __init__(self) -> None:
        self.kept: list[tuple[Report, str | None]] = []
        self.away = False

    async def keep(self, report: Report, hashed: str | None, at: Any) -> StoredReport:
        if self.away:
            raise StoreAway("test")
        self.kept.append((report, hashed))
        return StoredReport("r-1", report, hashed, at)


class Matcher:
    def __init__(self) -> None:
        self.matched: list[StoredReport] = []

    async def match(self, stored: StoredReport) -> bool:
        self.matched.append(stored)
        return False


class Bench:
    def __init__(self, answer: Report | OptOut | Exception) -> None:
        self.adapter, self.reports, self.matcher = Adapter(answer), Kept(), Matcher()
        self.suppressed, self.publisher = Suppressed(), Publisher()
        self.handler = ReportHandler(
            providers={"at": self.adapter},  # type: ignore[dict-item]
            reports=self.reports,  # type: ignore[arg-type]
            matcher=self.matcher,  # type: ignore[arg-type]
            suppressions=self.suppressed,
            normalise=normaliser("ZM", frozenset({"ZM"}), strict=True),
            key=KEY,
            publisher=self.publisher,
            clock=HandClock(),
        )


def report(kind: str = "delivery", provider: str = "at", **changes: Any) -> Incoming:
    body = {
        "provider": provider,
        "kind": kind,
        "receivedAt": EPOCH.isoformat(),
        "fields": {"id": "at-1"},
    }
    changes = {"body": json.dumps(body).encode(), "queue": "sms.reports"} | changes
    return incoming(**changes)


async def test_a_report_is_kept_with_a_hash_and_then_matched() -> None:
    bench = Bench(READ)
    assert await bench.handler(report()) is Settlement.ACK
    assert bench.reports.kept == [(READ, HASH)]
    assert [stored.id for stored in bench.matcher.matched] == ["r-1"]
    assert bench.adapter.asked == ("delivery", {"id": "at-1"})


@pytest.mark.parametrize("to", [None, "abc"])
async def test_a_report_without_a_usable_number_is_kept_without_a_hash(to: str | None) -> None:
    bench = Bench(Report("at", Delivery.DELIVERED, "Success", "at-1", to=to))
    await bench.handler(report())
    assert bench.reports.kept[0][1] is None


async def test_an_opt_out_is_a_suppression_and_no_report() -> None:
    bench = Bench(OptOut("at", "0977123456"))
    assert await bench.handler(report("optout")) is Settlement.ACK
    assert (set(bench.suppressed), bench.reports.kept) == ({HASH}, [])


async def test_an_opt_out_of_no_number_suppresses_nobody() -> None:
    bench = Bench(OptOut("at", "abc"))
    assert await bench.handler(report("optout")) is Settlement.ACK
    assert set(bench.suppressed) == set()


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
    bench = Bench(answer)
    assert await bench.handler(delivery) is Settlement.ACK
    assert [why for why, _ in bench.publisher.dead_letters] == [reason]
    assert bench.reports.kept == []


async def test_while_the_store_is_away_a_report_waits_ever_longer() -> None:
    bench = Bench(READ)
    bench.reports.away = True
    delivery = report()
    for _ in range(6):
        assert await bench.handler(delivery) is Settlement.ACK
        delivery = report(headers=bench.publisher.parked[-1][1])
    assert [tier for tier, _ in bench.publisher.parked] == [*TIERS, "10m", "10m"]
    assert delivery.headers[Header.REPORT_TRIES] == 6


async def test_a_report_our_own_code_fails_on_is_given_up() -> None:
    bench = Bench(READ)
    assert await bench.handler.give_up(report(), "our own error: KeyError") is Settlement.ACK
    assert bench.publisher.dead_letters[0][0] == "our own error: KeyError"
