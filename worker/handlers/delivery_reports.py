"""Takes delivery reports: reads each one, stores it, and has it matched to its message.

Rules:
- A report may come before the response of its attempt is stored, twice, out of order, or for
  nobody. It is stored first, and matched when its message can be found (`delivery_report_matcher`).
- None was received later than now, whatever the clock of its publisher says.
- What a callback says of the recipient's consent is recorded by `consent`.
- What cannot be read is a dead letter with its reason, and an alert too where it tells of an
  opt-out.
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
from worker.handlers.decode import carried
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
        providers: adapters by provider id: they read what they sent.
        reports: where reports are kept.
        matcher: brings them to their message.
        wishes: takes opt-outs and opt-ins, and knows whose number it is.
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
        """Handle one report to its settlement."""
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
            await self._take(read, raw)
        except StoreUnavailable:
            tries = carried(incoming, Header.REPORT_TRIES)
            tier = tier_after(tries + 1)
            await self.publisher.park(incoming, tier, {Header.REPORT_TRIES: tries + 1})
        return Settlement.ACK

    def _decoded(self, incoming: Incoming) -> RawReport:
        """The report as a value, with a time that has come. Raises `DecodeError`."""
        raw = decode_report(incoming.body)
        return raw.model_copy(update={"received_at": min(raw.received_at, self.clock.now())})

    def _read(self, raw: RawReport) -> tuple[DeliveryReport, str | None] | Told:
        """A report with the hash of its recipient, or a wish. Raises `ValueError`."""
        read = self.providers[raw.provider].read_report(raw.kind, raw.fields)
        if isinstance(read, OptOut | OptIn):
            return self.wishes.understood(read, raw.received_at)
        to = self.wishes.recipient(read.to)
        if to is None and not (read.message_id or read.provider_message_id):
            raise ValueError("expected a message id or a number of ours, got neither")
        return read, to.hash if to else None

    async def _take(self, read: tuple[DeliveryReport, str | None] | Told, raw: RawReport) -> None:
        if isinstance(read, Told):
            await self.wishes.record(read)
            return
        stored = await self.reports.keep(*read, raw.received_at)
        await self.matcher.match(stored)

    async def _dead(self, incoming: Incoming, reason: str) -> Settlement:
        headers: dict[str, object] = {Header.LAST_AT: self.clock.now().isoformat()}
        await self.publisher.dead(incoming, reason, headers)
        if self._tells_opt_out(incoming):
            self.wishes.lost(self._provider(incoming), reason)
        return Settlement.ACK

    def _tells_opt_out(self, incoming: Incoming) -> bool:
        """Whether it does, by its kind or by what its adapter reads in it."""
        with suppress(Exception):  # whatever it is dead for, it is not told here
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
        """End a report our own code keeps failing on."""
        return await self._dead(incoming, reason)
