"""Ports for the stored records of messages and for their delivery reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from worker.domain.messages.message import (
        Attempt,
        Lane,
        Lease,
        Message,
        Record,
        State,
        StoredEvent,
    )
    from worker.domain.messages.receipts import DeliveryReport, StoredReport
    from worker.domain.messages.writes import Finished, TerminalWrite


MOST_IN_DOUBT: Final = 20
"""Records of one recipient that a report without a known id is compared with."""


class Messages(Protocol):
    """The records of messages. Every write is a compare-and-set, repeated until it wins or loses.

    If a method returns a `Record`, its write lost, and that record is stored instead. While the
    store is away the methods wait, and nothing is sent.
    """

    async def look(self, message_id: str) -> Record | None:
        """Read a record. The server's clock decides whether its lease is over."""
        ...

    async def claim(self, message: Message, attempt: Attempt) -> Lease | Record:
        """Insert the first intent."""
        ...

    async def close_new(self, closing: TerminalWrite) -> Record | None:
        """Insert a record in a final state; None: inserted."""
        ...

    async def intend(
        self,
        base: Lease | Record,
        attempt: Attempt,
        previous: Finished | None = None,
        *,
        lane: Lane,
    ) -> Lease | Record:
        """Raise the epoch with a further intent, recording how the previous attempt ended."""
        ...

    async def settle(
        self,
        lease: Lease,
        state: State,
        finished: Finished,
        events: tuple[StoredEvent, ...],
        *,
        lane: Lane,
    ) -> Record | None:
        """Write an outcome that ends the attempts; None: written."""
        ...

    async def wait(
        self, lease: Lease, finished: Finished | None, *, counted: bool, lane: Lane
    ) -> Record | int:
        """Write `waiting`; returns the round the copy must carry.

        Args:
            lease: the lease that ends.
            finished: how the last attempt ended; None: its provider was never called.
            counted: whether the round counts for the budget.
            lane: decides the order of writes.
        """
        ...

    async def close(
        self, record: Record, state: State, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """End a record that is still `waiting` at the same round; None: written."""
        ...

    async def declare_unknown(
        self, record: Record, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """Change a `submitting` record whose lease is over to `unknown`; None: written."""
        ...

    async def late(self, lease: Lease, finished: Finished) -> None:
        """Append a late outcome to its attempt."""
        ...

    def confirmed(self, message_id: str, events: tuple[StoredEvent, ...]) -> None:
        """Note that the broker confirmed events. Written soon, in batches, and before the stop."""
        ...


class Reported(Protocol):
    """The records, as delivery reports need them. Methods raise `StoreUnavailable`."""

    async def by_reference(self, provider: str, provider_message_id: str) -> Record | None:
        """The record that has an attempt with this id of the provider."""
        ...

    async def find(self, message_id: str) -> Record | None:
        """The record with this id of ours."""
        ...

    async def in_doubt_of(self, recipient_hash: str) -> list[Record]:
        """Records of a recipient, within the report deadline, with an attempt that may have left.

        Those are `unknown` or `submitting`, or were resent. At most `MOST_IN_DOUBT`.
        """
        ...

    async def report(
        self,
        record: Record,
        epoch: int,
        report: DeliveryReport,
        events: tuple[StoredEvent, ...],
        *,
        proves: bool,
    ) -> bool:
        """Move the delivery of an attempt forward; False: the record changed, look again.

        Args:
            record: as read.
            epoch: of the attempt that the report is about.
            report: the delivery report.
            events: events to store with the change.
            proves: whether the report proves an `unknown` record `accepted`.
        """
        ...


class Due(Protocol):
    """Finds records for the sweeper, a bounded number each time.

    Methods raise `StoreUnavailable`.
    """

    async def dead_leases(self, *, extra_s: float, lane: Lane) -> list[Record]:
        """Records in `submitting` whose lease is over for longer than `extra_s`."""
        ...

    async def outlived(self, *, older_s: float) -> list[Record]:
        """Records in `waiting` whose life is over for longer than `older_s`."""
        ...

    async def unannounced(self, *, older_s: float) -> list[tuple[Record, tuple[StoredEvent, ...]]]:
        """Records with the events that the broker has not confirmed."""
        ...

    async def take_judged(self) -> list[Record]:
        """Accepted records that reached the delivery age. One replica gets each, once."""
        ...

    async def overdue(self) -> list[Record]:
        """Records past the report deadline without a final report."""
        ...

    async def unreported(self, record: Record, events: tuple[StoredEvent, ...]) -> bool:
        """Note that no delivery report came; False: the record changed."""
        ...


@dataclass(frozen=True, slots=True)
class OpenRecords:
    """How many records are in a state that is not final."""

    count: int
    oldest: datetime | None
    """When the oldest of those counted was created; None: there is none."""


class OpenRecordCounts(Protocol):
    """Counts what is not settled, for metrics."""

    async def open_records(self) -> Mapping[State, OpenRecords]:
        """Count records that are `submitting`, `waiting`, or `unknown` and without a report.

        Bounded in number and time. Raises `StoreUnavailable`.
        """
        ...


class Reports(Protocol):
    """The stored delivery reports. Methods raise `StoreUnavailable`."""

    async def keep(
        self,
        report: DeliveryReport,
        recipient_hash: str | None,
        received_at: datetime,
        traceparent: str | None = None,
    ) -> StoredReport:
        """Store a report. A repeated report returns the stored one.

        `traceparent`: of the span that took it; stored if its trace is recorded.
        """
        ...

    async def matched(self, ident: str) -> None:
        """Note that the report was applied to the record of its message."""
        ...

    async def waiting_for(self, references: Sequence[str]) -> list[StoredReport]:
        """Unmatched reports that name one of these references."""
        ...

    async def orphans(self) -> list[StoredReport]:
        """Unmatched reports that are due for another try."""
        ...
