"""Where records of messages and their delivery reports are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
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


class Messages(Protocol):
    """Records of messages. Every write is a compare-and-set carried to its decision.

    A method that returns a `Record` lost: that record stands instead. While the store is away the
    methods wait; nothing is sent meanwhile.
    """

    async def look(self, message_id: str) -> Record | None:
        """Read a record; the lease is judged by the server's clock."""
        ...

    async def claim(self, message: Message, attempt: Attempt) -> Lease | Record:
        """Insert the first intent."""
        ...

    async def close_new(self, closing: TerminalWrite) -> Record | None:
        """Insert a terminal record; None: inserted."""
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
            lease: the hold that ends.
            finished: how the last attempt ended; None when its intent was never acted on.
            counted: whether the round counts against the budget.
            lane: for the order of writes.
        """
        ...

    async def close(
        self, record: Record, state: State, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """End a record that is `waiting` at the record's round; None: written."""
        ...

    async def declare_unknown(
        self, record: Record, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """Turn a `submitting` record whose lease is dead into `unknown`; None: written."""
        ...

    async def late(self, lease: Lease, finished: Finished) -> None:
        """Append an outcome that came too late to its attempt."""
        ...

    def confirmed(self, message_id: str, events: tuple[StoredEvent, ...]) -> None:
        """Note that the broker confirmed events; written soon, in batches, and before the end."""
        ...


class Reported(Protocol):
    """Records as delivery reports and the sweeper see them. Methods raise `StoreUnavailable`."""

    async def by_reference(self, provider: str, provider_message_id: str) -> Record | None:
        """The record whose attempt the provider named so."""
        ...

    async def find(self, message_id: str) -> Record | None:
        """The record of our own id."""
        ...

    async def unknown_of(self, recipient_hash: str) -> list[Record]:
        """Records of a recipient, `unknown` or in hand, within the report deadline; at most 2."""
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
            epoch: the attempt the report is about.
            report: what it says.
            events: what becomes of it for consumers.
            proves: the record is `unknown` and this proves it `accepted`.
        """
        ...


class Due(Protocol):
    """Records the sweeper has to look at, a bounded number each.

    Methods raise `StoreUnavailable`.
    """

    async def dead_leases(self, *, extra_s: float, lane: Lane) -> list[Record]:
        """`submitting`, and the lease dead for longer than `extra_s`."""
        ...

    async def outlived(self, *, older_s: float) -> list[Record]:
        """`waiting`, and its life over for longer than `older_s`."""
        ...

    async def unannounced(self, *, older_s: float) -> list[tuple[Record, tuple[StoredEvent, ...]]]:
        """Records with events the broker has not confirmed, with those events."""
        ...

    async def take_judged(self) -> list[Record]:
        """Accepted records at the delivery age; each is handed out once, to one replica."""
        ...

    async def overdue(self) -> list[Record]:
        """Records past the report deadline without a final report."""
        ...

    async def unreported(self, record: Record, events: tuple[StoredEvent, ...]) -> bool:
        """Note that no report came; False: the record changed."""
        ...


class Reports(Protocol):
    """Delivery reports as stored. Methods raise `StoreUnavailable`."""

    async def keep(
        self, report: DeliveryReport, recipient_hash: str | None, received_at: datetime
    ) -> StoredReport:
        """Store a report; one that came before is found, not doubled."""
        ...

    async def matched(self, ident: str) -> None:
        """Note that the record of its message says what the report says."""
        ...

    async def waiting_for(self, references: Sequence[str]) -> list[StoredReport]:
        """Unmatched reports that name any of these references."""
        ...

    async def orphans(self) -> list[StoredReport]:
        """Unmatched reports whose turn to be tried again has come."""
        ...
