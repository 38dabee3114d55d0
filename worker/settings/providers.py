"""Settings of a provider account: address, credentials, limits and breaker."""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from worker.settings.group import Group
from worker.settings.types import (
    Count,
    Credential,
    HttpUrl,
    HttpUrlOrEmpty,
    Line,
    ProviderId,
    Rate,
    Seconds,
    Sender,
    Token,
)

_LIVE: Final = "api.africastalking.com"
_SANDBOX: Final = "api.sandbox.africastalking.com"
_VERSION: Final = "version1"


class ProviderKind(StrEnum):
    """The adapter of a provider."""

    AFRICASTALKING = "africastalking"
    HTTP = "http"
    """The generic HTTP gateway, described by a preset file."""


class BreakerSettings(Group):
    """When a provider's circuit breaker opens and how it closes again."""

    consecutive_failures: Count = 5
    """Number of failures in a row that opens the breaker."""
    failure_rate: Rate = 0.5
    """Share of failures within the window that opens the breaker."""
    slow_call_rate: Rate = 0.8
    """Share of slow calls within the window that opens the breaker."""
    slow_call_s: Seconds = 5.0
    """A call that takes longer than this is slow."""
    window: Count = 50
    """Number of the last calls over which the two shares are taken."""
    minimum_calls: Count = 20
    """Number of calls in the window before a share may open the breaker."""
    open_s: Seconds = 15.0
    """How long an open breaker waits before it lets one call through."""

    @field_validator("minimum_calls")
    @classmethod
    def _reached(cls, value: int, info: ValidationInfo) -> int:
        window = info.data.get("window", value)
        if value > window:
            raise ValueError(f"expected at most window ({window}), got {value}")
        return value


class ProviderSettings(Group):
    """One provider account."""

    id: ProviderId
    """Name of the provider in events, metrics and commands; it differs for the two providers."""
    kind: ProviderKind
    """The adapter: one made for the provider, or the generic HTTP gateway."""
    preset: Line | None = Field(default=None, validate_default=True)
    """For kind `http`: name of a shipped preset or path of a YAML file."""
    base_url: HttpUrlOrEmpty = Field(default="", validate_default=True)
    """Address of the provider's API. Optional for kind `africastalking`: the default is the live
    address, or the sandbox if the user name is `sandbox`."""
    username: Line | None = Field(default=None, validate_default=True)
    """User name of the account; kind `africastalking` needs one."""
    secret: Credential | None = Field(default=None, validate_default=True)
    """API key or password."""
    sender_id: Sender | None = None
    """The account's registered sender id, used for messages without one."""
    parameters: dict[str, Line] = Field(default_factory=dict)
    """Further values for the templates of a preset, as a JSON object."""
    connect_timeout_s: Seconds = 3.0
    """Longest time for opening a connection; after it, the outcome is "not sent"."""
    deadline_s: Seconds = 30.0
    """Longest time from the first byte sent to the last byte read; after it: "unknown"."""
    keep_alive_s: float = Field(default=4.0, ge=0, le=3_600, allow_inf_nan=False)
    """Longest idle time after which a connection is still used; 0: no connection is kept. Stay
    below the 5 s after which many servers close it. A shorter time named by the server counts."""
    max_in_flight: Count = 64
    """Most calls at once, over all replicas."""
    rate_per_s: float = Field(default=500.0, gt=0, le=1_000_000, allow_inf_nan=False)
    """Most calls begun per second, over all replicas."""
    low_balance: float | None = Field(default=None, allow_inf_nan=False)
    """Balance below which an alert is raised, in the account's currency."""
    report_token: Token | None = None
    """Secret path segment of the delivery-report webhook."""
    report_base_url: HttpUrl | None = None
    """Public address of the webhook, for gateways that get it with each message."""
    breaker: BreakerSettings = BreakerSettings()
    """When the circuit breaker opens and closes."""

    @field_validator("preset")
    @classmethod
    def _preset_of_a_gateway(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("kind") is ProviderKind.HTTP and not value:
            raise ValueError("expected a preset name or file for kind 'http', got nothing")
        return value

    @field_validator("base_url")
    @classmethod
    def _address_of_its_kind(cls, value: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        if kind is ProviderKind.HTTP and not value:
            raise ValueError("expected the gateway's address, got nothing")
        steps = urlsplit(value).path.lower().strip("/").split("/")
        if kind is ProviderKind.AFRICASTALKING and steps[-1] not in ("", _VERSION):
            raise ValueError(f"expected the address without the API's path, or with /{_VERSION}")
        return value

    @field_validator("username")
    @classmethod
    def _user_of_that_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("kind") is not ProviderKind.AFRICASTALKING:
            return value
        if not value:
            raise ValueError("expected for kind 'africastalking', got nothing")
        wrong = {_LIVE: value == "sandbox", _SANDBOX: value != "sandbox"}
        host = urlsplit(info.data.get("base_url", "")).hostname or ""
        if wrong.get(host, False):
            raise ValueError(f"expected 'sandbox' for base_url {_SANDBOX} alone")
        return value

    @field_validator("secret")
    @classmethod
    def _key_in_a_header(cls, value: Credential | None, info: ValidationInfo) -> Credential | None:
        if info.data.get("kind") is not ProviderKind.AFRICASTALKING:
            return value
        if not value:
            raise ValueError("expected for kind 'africastalking', got nothing")
        if not value.get_secret_value().isascii():
            raise ValueError("expected ASCII characters: a header carries it")
        return value
