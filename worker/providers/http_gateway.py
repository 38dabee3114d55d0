"""The adapter for any provider that a preset file describes.

Rules: `preset` describes the gateway, `gateway_request` and `gateway_answers` are pure, and this
file does the I/O. An address is never logged, because it may have a secret and the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from worker.domain.messages.account import AccountHealth
from worker.domain.messages.outcome import Blame, NotSent, Outcome
from worker.providers import gateway_answers, gateway_request
from worker.providers.answer import Answer, account_health, ask
from worker.providers.preset import load
from worker.providers.transport import AiohttpTransport, http_client

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from worker.domain.messages.receipts import DeliveryReport, OptIn, OptOut
    from worker.domain.messages.sms import Sms
    from worker.settings.providers import ProviderSettings


class HttpGateway:
    """One account at a gateway.

    Args:
        settings: kind `http`, with the preset's name or path.
        ssl_context: replaces the system's certificates.

    Raises:
        ValueError: the preset is wrong or the settings do not fit; all problems are named.
    """

    def __init__(
        self, settings: ProviderSettings, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._preset = load(settings.preset or "")
        if problems := gateway_request.problems(settings, self._preset):
            raise ValueError("; ".join(problems))
        self._client = http_client(
            AiohttpTransport(
                connect_timeout_s=settings.connect_timeout_s,
                deadline_s=settings.deadline_s,
                keep_alive_s=settings.keep_alive_s,
                ssl_context=ssl_context,
            )
        )

    @property
    def id(self) -> str:
        """The configured id."""
        return self._settings.id

    @property
    def gives_reports(self) -> bool:
        """Whether delivery reports can come."""
        told_where = bool(self._settings.report_base_url and self._settings.report_token)
        return self._preset.reports is not None and told_where

    async def send(self, sms: Sms) -> Outcome:
        """Call the gateway once for one message."""
        try:
            request = self._built(gateway_request.send_request(self._settings, self._preset, sms))
        except (ValueError, httpx.InvalidURL):
            return NotSent(Blame.MESSAGE, "not_encodable", "this gateway cannot carry the message")
        answer = await ask(self._client, request)
        if not isinstance(answer, Answer):
            return answer
        own_sender = bool(sms.sender_id) and sms.sender_id != self._settings.sender_id
        return gateway_answers.classify(answer, self._preset, own_sender=own_sender)

    async def check(self) -> AccountHealth:
        """Ask for the balance, if the gateway has an account call."""
        call = self._preset.check
        if call is None:
            return AccountHealth(ok=True, reason="the gateway has no account call")
        try:
            request = self._built(
                gateway_request.check_request(self._settings, self._preset, call.request)
            )
        except (ValueError, httpx.InvalidURL):
            return AccountHealth(ok=False, reason="the account call cannot be written")
        answer = await ask(self._client, request)
        if not isinstance(answer, Answer):
            return account_health(answer, None)
        return account_health(answer, gateway_answers.read_balance(answer, self._preset))

    def _built(self, prepared: gateway_request.Prepared) -> httpx.Request:
        method, url, headers, content = prepared
        return self._client.build_request(method, url, headers=headers, content=content)

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut | OptIn:
        """Read a delivery report, an opt-out or an opt-in.

        Raises:
            ValueError: it names neither message nor recipient, or the preset lacks this kind.
        """
        preset = self._preset
        if kind == "delivery" and preset.reports:
            return gateway_answers.read_delivery(self.id, preset.reports, fields)
        if kind == "optout" and preset.optouts:
            return gateway_answers.read_optout(self.id, preset.optouts, fields)
        if kind == "optin" and preset.optins:
            return gateway_answers.read_optin(self.id, preset.optins, fields)
        raise ValueError(f"kind: preset {preset.name!r} gives no callbacks of kind {kind!r}")

    async def close(self) -> None:
        """Close connections. Idempotent."""
        await self._client.aclose()
