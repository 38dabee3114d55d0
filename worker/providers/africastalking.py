"""The adapter of Africa's Talking: the bulk SMS form endpoint and the account call.

Source: the provider's API documentation, and the requests of its official Python and Node SDKs
(form endpoint, `bulkSMSMode=1`, no `enqueue` by default; sandbox by the user name `sandbox`).

Rules: this file builds requests and does the I/O; `africastalking_answers` reads the answers. The
API key is unwrapped into the header of one request and stored nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import httpx

from worker.domain.messages.outcome import Blame, NotSent
from worker.providers.africastalking_answers import (
    classify,
    read_balance,
    read_delivery,
    read_optout,
)
from worker.providers.answer import Answer, account_health, ask
from worker.providers.transport import AiohttpTransport, http_client

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from worker.domain.messages.account import AccountHealth
    from worker.domain.messages.outcome import Outcome
    from worker.domain.messages.receipts import DeliveryReport, OptOut
    from worker.domain.messages.sms import Sms
    from worker.settings.providers import ProviderSettings

LIVE: Final = "https://api.africastalking.com/version1"
SANDBOX: Final = "https://api.sandbox.africastalking.com/version1"


class AfricasTalking:
    """One Africa's Talking account.

    Args:
        settings: kind `africastalking`. An empty `base_url` means the live address, or the sandbox
            address for the user name `sandbox`. A missing `/version1` is added.
        ssl_context: replaces the system's certificates.
    """

    gives_reports: Final = True

    def __init__(
        self, settings: ProviderSettings, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._base = _base_url(settings)
        self._client = http_client(
            AiohttpTransport(
                connect_timeout_s=settings.connect_timeout_s,
                deadline_s=settings.deadline_s,
                keep_alive_s=settings.keep_alive_s,
                ssl_context=ssl_context,
            )
        )
        self._send_url = httpx.URL(f"{self._base}/messaging")
        same = httpx.Headers(self._client.headers)
        same["Accept"] = "application/json"
        same["Content-Type"] = "application/x-www-form-urlencoded"
        self._same_headers = same.raw

    @property
    def id(self) -> str:
        """The configured id."""
        return self._settings.id

    async def send(self, sms: Sms) -> Outcome:
        """Send one message to one recipient by one POST."""
        try:
            request = self._send_request(sms)
        except ValueError:  # half a surrogate pair
            return NotSent(Blame.MESSAGE, "not_encodable", "the message cannot be written down")
        answer = await ask(self._client, request)
        if not isinstance(answer, Answer):
            return answer
        own_sender = bool(sms.sender_id) and sms.sender_id != self._settings.sender_id
        return classify(answer, to=sms.to, own_sender=own_sender)

    def _send_request(self, sms: Sms) -> httpx.Request:
        """Build a request by hand. The parts that never change are prepared once."""
        form = {
            "username": self._settings.username or "",
            "to": sms.to,
            "message": sms.text,
            "bulkSMSMode": "1",
        }
        if sender := sms.sender_id or self._settings.sender_id:
            form["from"] = sender
        headers = [*self._same_headers, (b"apiKey", self._key().encode())]
        if sms.traceparent:
            headers.append((b"traceparent", sms.traceparent.encode()))
        return httpx.Request("POST", self._send_url, headers=headers, content=urlencode(form))

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json", "apiKey": self._key()}

    def _key(self) -> str:
        secret = self._settings.secret
        return secret.get_secret_value() if secret else ""

    async def check(self) -> AccountHealth:
        """Ask for the balance."""
        request = self._client.build_request(
            "GET",
            f"{self._base}/user",
            params={"username": self._settings.username or ""},
            headers=self._headers(),
        )
        answer = await ask(self._client, request)
        return account_health(answer, read_balance(answer) if isinstance(answer, Answer) else None)

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut:
        """Read a delivery report or a subscriber's opt-out.

        Raises:
            ValueError: it names neither a message nor a recipient, or the kind is not known.
        """
        if kind == "delivery":
            return read_delivery(self.id, fields)
        if kind == "optout":
            return read_optout(self.id, fields)
        raise ValueError(f"kind: expected 'delivery' or 'optout', got {kind!r}")

    async def close(self) -> None:
        """Close connections. Idempotent."""
        await self._client.aclose()


def _base_url(settings: ProviderSettings) -> str:
    default = SANDBOX if settings.username == "sandbox" else LIVE
    base = (settings.base_url or default).rstrip("/")
    return base if base.endswith("/version1") else f"{base}/version1"
