"""A provider whose calls are spans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from worker.domain.messages.outcome import Accepted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.messages.account import AccountHealth
    from worker.domain.messages.outcome import Outcome
    from worker.domain.messages.receipts import DeliveryReport, OptIn, OptOut
    from worker.domain.messages.sms import Sms
    from worker.ports.providers import Provider
    from worker.telemetry.tracing import Tracing


class TracedProvider:
    """Wraps a provider and opens a span for each of its calls."""

    def __init__(self, provider: Provider, tracing: Tracing) -> None:
        self._provider = provider
        self._tracing = tracing

    @property
    def id(self) -> str:
        """The id of the wrapped provider."""
        return self._provider.id

    @property
    def gives_reports(self) -> bool:
        """Whether delivery reports can come."""
        return self._provider.gives_reports

    async def send(self, sms: Sms) -> Outcome:
        """Call the provider in a span."""
        with self._tracing.call(sms.traceparent, self.id, sms.epoch) as call:
            if call.traceparent != sms.traceparent:
                sms = replace(sms, traceparent=call.traceparent)
            outcome = await self._provider.send(sms)
            call.outcome(outcome.code, failed=not isinstance(outcome, Accepted))
            return outcome

    async def check(self) -> AccountHealth:
        """Check the account without a span, because it belongs to no message."""
        return await self._provider.check()

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut | OptIn:
        """Read a callback without a span, because it is no call."""
        return self._provider.read_report(kind, fields)

    async def close(self) -> None:
        """Close the wrapped provider."""
        await self._provider.close()
