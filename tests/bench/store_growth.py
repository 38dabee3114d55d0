"""What messages take of the store: bytes by document, on disk and in each index.

The product's own stores write them, with the documents, events and indexes of a deployment, each
message from its claim to its delivery report. `python tests/bench/store_growth.py [MESSAGES]`
prints the figures; the ones that count are kept in `tests/support/capacity_model.py`.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from tests.support.fakes import StoreTroubles
from worker.clock import SystemClock
from worker.domain.messages import masking
from worker.domain.messages.message import Attempt, Delivery, Lane, Lease, Message, OnUnknown, State
from worker.domain.messages.outcome import Accepted, Money
from worker.domain.messages.receipts import DeliveryReport
from worker.domain.messages.writes import Finished
from worker.handlers import message_events
from worker.lab.local.database import Database as Server
from worker.service import Background
from worker.store import indexes, messages, reports
from worker.store.client import Database
from worker.store.due import DueStore
from worker.store.messages import MessageStore
from worker.store.reports import ReportStore
from worker.store.states import Retention

MESSAGES = 10_000
AT_ONCE = 128
KEY = b"a key"
DEADLINE_S, KEEP_S = 172_800.0, 2_592_000.0
COST = Money(Decimal("0.3500"), "ZMW")


@dataclass(frozen=True)
class Growth:
    """Bytes a document of one collection."""

    collection: str
    document: float
    on_disk: float
    indexes: dict[str, float]


class Writer:
    """Takes messages through the stores as a worker and its webhook do."""

    def __init__(self, database: Database) -> None:
        clock = SystemClock()
        self.store = MessageStore(
            database[messages.COLLECTION],
            owner=uuid4().hex,
            lease_s=45.0,
            retention=Retention(delivery_age_s=600, report_deadline_s=DEADLINE_S, keep_s=KEEP_S),
            clock=clock,
            health=StoreTroubles(),
            referenced=lambda _: None,
            background=Background(),
        )
        self._due = DueStore(database[messages.COLLECTION], clock, report_deadline_s=DEADLINE_S)
        self._reports = ReportStore(database[reports.COLLECTION], clock, keep_s=KEEP_S)

    async def write(self, number: int) -> None:
        """One message: claimed, accepted, announced, reported as delivered."""
        now = datetime.now(UTC)
        message = _message(number, now)
        attempt = Attempt(
            1, "africastalking", 7, "percentage: bucket 24 < 25", eligible=True, at=now,
            sender_id="BANK",
        )  # fmt: skip
        lease = await self.store.claim(message, attempt)
        assert isinstance(lease, Lease)
        pid = f"ATXid_{uuid4().hex}"
        finished = Finished(Accepted(pid, COST, 1), 52.3, COST)
        sent = message_events.sent(message, attempt, finished, now, possible_duplicate=False)
        await self.store.settle(lease, State.ACCEPTED, finished, (sent,), lane=Lane.BULK)
        self.store.confirmed(message.id, (sent,))
        await self._delivered(message, pid, now)

    async def _delivered(self, message: Message, pid: str, now: datetime) -> None:
        report = DeliveryReport(
            "africastalking", Delivery.DELIVERED, "Success", pid, None, None, None, None, "64501"
        )
        stored = await self._reports.keep(report, message.recipient.hash, now)
        record = await self._due.by_reference("africastalking", pid)
        assert record is not None
        told = message_events.delivery(
            record, record.attempts[0], report, now, delivered=True,
            matched=message_events.BY_REFERENCE,
        )  # fmt: skip
        assert await self._due.report(record, 1, report, (told,), proves=False)
        self.store.confirmed(message.id, (told,))
        await self._reports.matched(stored.id)


def _message(number: int, now: datetime) -> Message:
    to, text = f"+26097{number:07d}", f"Your payment of ZMW 120.00 is due on Friday. #{number}"
    return Message(
        id=str(uuid4()),
        to=to,
        text=text,
        fingerprint=masking.fingerprint(KEY, to, text, "BANK"),
        recipient=masking.recipient(KEY, to),
        lane=Lane.BULK,
        on_unknown=OnUnknown.HOLD,
        expires_at=now + timedelta(days=1),
        message_type="Standard",
        user_id=f"user-{number % 50}",
        branch_id=number % 20,
        correlation_id=str(uuid4()),
        segments=1,
    )


async def measure(count: int, directory: Path) -> list[Growth]:
    """Write `count` messages into a database of its own."""
    server = Server(directory)
    await server.start()
    database = Database(server.url, "growth", timeout_s=60)
    try:
        await indexes.create(database)
        writer = Writer(database)
        await writer.store.start()
        for start in range(0, count, AT_ONCE):
            await asyncio.gather(*map(writer.write, range(start, min(start + AT_ONCE, count))))
        await writer.store.stop()
        await database.db.client.admin.command("fsync")
        return [await _growth(database, name) for name in (messages.COLLECTION, reports.COLLECTION)]
    finally:
        await database.close()
        await server.stop()


async def _growth(database: Database, name: str) -> Growth:
    found = await database.db.command("collStats", name)
    count = found["count"]
    return Growth(
        name,
        found["size"] / count,
        found["storageSize"] / count,
        {index: size / count for index, size in found["indexSizes"].items()},
    )


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
    with TemporaryDirectory() as folder:
        for each in asyncio.run(measure(wanted, Path(folder))):
            print(
                f"{each.collection}: {each.document:.0f} B a document, {each.on_disk:.0f} B on "
                f"disk, {sum(each.indexes.values()):.0f} B in indexes"
            )
            for index, size in each.indexes.items():
                print(f"  {index:<28} {size:6.1f} B")
