"""Takes delivery reports: reads each one, stores it, and has it matched to its message.

Rules:
- A report may come before the response of its attempt is stored, twice, out of order, or for an
  unknown message. It is stored first, and matched once its message is found
  (`delivery_report_matcher`).
- A receipt time in the future is replaced by now, because the publisher's clock may be wrong.
- `consent` records opt-outs and opt-ins of callbacks.
- An unreadable report becomes a dead letter with its reason. If it reports an opt-out, there is an
  alert too.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts.codec import DecodeError, read_object
from contracts.names import Header
from contracts.reports import RawReport, decode_report
from worker.domain.messages.receipts import DeliveryReport, OptIn, OptOut
from worker.handlers.consent import Told, tells_opt_out
from worker.handlers.decode import carried, text_header
from worker.handlers.retry_tiers import tier_after
from worker.ports.broker import Settlement
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.handlers.consent import Wishes
    from worker.handlers.delivery_report_matcher import Matcher
    from worker.ports.broker import Incoming, Publisher
    from worker.ports.clock import Clock
    from worker.ports.messages import Reports
    from worker.ports.providers import Provider


@dataclass(frozen=True, slots=True)
class ReportHandler:
    """Handles deliveries from `sms.reports`.

    Args:
        providers: adapters by provider id. Each reads its own provider's reports.
        reports: stores reports.
        matcher: matches reports to messages.
        wishes: records opt-outs and opt-ins, and reads the recipient's number.
        publisher: retry copies and dead letters.
        clock: time.
    """

    providers: Mapping[str, Provider]
    reports: Reports
    matcher: Matcher
    wishes: Wishes
    publisher: Publisher
    clock: Clock

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Handle one report and return its settlement."""
        try:
            raw = self._decoded(incoming)
            read = self._read(raw)
        except KeyError:
            return await self._dead(incoming, "report of a provider that is not configured")
        except DecodeError as error:
            return await self._dead(incoming, error.reason)
        except ValueError as error:
            return await self._dead(incoming, f"report not understood: {error}")
        try:
            await self._take(read, raw, text_header(incoming, Header.TRACEPARENT))
        except StoreUnavailable:
            tries = carried(incoming, Header.REPORT_TRIES)
            tier = tier_after(tries + 1)
            await self.publisher.park(incoming, tier, {Header.REPORT_TRIES: tries + 1})
        return Settlement.ACK

    def _decoded(self, incoming: Incoming) -> RawReport:
        """Decode the report; its time is never later than now. Raises `DecodeError`."""
        raw = decode_report(incoming.body)
        return raw.model_copy(update={"received_at": min(raw.received_at, self.clock.now())})

    def _read(self, raw: RawReport) -> tuple[DeliveryReport, str | None] | Told:
        """Turn it into a report with the hash of its recipient, or a wish. Raises `ValueError`."""
        read = self.providers[raw.provider].read_report(raw.kind, raw.fields)
        if isinstance(read, OptOut | OptIn):
            return self.wishes.understood(read, raw.received_at)
        to = self.wishes.recipient(read.to)
        if to is None and not (read.message_id or read.provider_message_id):
            raise ValueError("expected a message id or a number of ours, got neither")
        return read, to.hash if to else None

    async def _take(
        self,
        read: tuple[DeliveryReport, str | None] | Told,
        raw: RawReport,
        traceparent: str | None,
    ) -> None:
        if isinstance(read, Told):
            await self.wishes.record(read)
            return
        stored = await self.reports.keep(*read, raw.received_at, traceparent)
        await self.matcher.match(stored)

    async def _dead(self, incoming: Incoming, reason: str) -> Settlement:
        headers: dict[str, object] = {Header.LAST_AT: self.clock.now().isoformat()}
        await self.publisher.dead(incoming, reason, headers)
        if self._tells_opt_out(incoming):
            self.wishes.lost(self._provider(incoming), reason)
        return Settlement.ACK

    def _tells_opt_out(self, incoming: Incoming) -> bool:
        """Whether it reports an opt-out, by its kind or as its adapter reads it."""
        with suppress(Exception):  # an unreadable report fails here once more
            if read_object(incoming.body).get("kind") == "optout":
                return True
            raw = decode_report(incoming.body)
            return tells_opt_out(self.providers[raw.provider].read_report(raw.kind, raw.fields))
        return False

    def _provider(self, incoming: Incoming) -> str:
        named = read_object(incoming.body).get("provider")
        known = isinstance(named, str) and named in self.providers
        return str(named) if known else "a provider that is not configured"

    async def give_up(self, incoming: Incoming, reason: str) -> Settlement:
        """Give up a report on which our own code keeps failing."""
        return await self._dead(incoming, reason)
