"""Process settings: from the environment, validated whole, read once at the composition root.

Rules: secrets are `SecretStr`; every problem is listed at once, at the field it belongs to; where
two fields contradict each other, at the later one. Nothing here changes at run time (what does is
in the control log, seeded from `flags_file`). Names in the environment are those of
`worker.settings.environment`; `AMQP_URL` and `MONGO_URL` stand without a prefix.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)

from worker.domain.messages.message import Lane
from worker.domain.migration.access import AccessRole
from worker.settings.environment import FromEnvironment
from worker.settings.types import (
    AmqpUrl,
    BrokerUser,
    Count,
    Credential,
    DatabaseName,
    Host,
    HttpUrl,
    HttpUrlOrEmpty,
    Line,
    LogLevel,
    MongoUrl,
    Port,
    Prefetch,
    ProviderId,
    RankName,
    Rate,
    Region,
    Seconds,
    Sender,
    Token,
    WebhookAnswer,
)

if TYPE_CHECKING:
    from pydantic import ValidationInfo

_LIVE: Final = "api.africastalking.com"
_SANDBOX: Final = "api.sandbox.africastalking.com"
_VERSION: Final = "version1"


def _default_roles() -> dict[str, AccessRole]:
    return {"administrator": AccessRole.ADMINISTRATOR, "observer": AccessRole.OBSERVER}


class ProviderKind(StrEnum):
    """Which adapter speaks to a provider."""

    AFRICASTALKING = "africastalking"
    HTTP = "http"
    """The generic HTTP gateway, described by a preset file."""


class _Group(BaseModel):
    """Settings that belong together, below one name."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )


class BreakerSettings(_Group):
    """When a provider's circuit breaker opens and how it closes again."""

    consecutive_failures: Count = 5
    """So many failures in a row open the breaker."""
    failure_rate: Rate = 0.5
    """This share of failures within the window opens the breaker."""
    slow_call_rate: Rate = 0.8
    """This share of slow calls within the window opens the breaker."""
    slow_call_s: Seconds = 5.0
    """A call that takes longer than this is slow."""
    window: Count = 50
    """How many of the last calls the two rates look at."""
    minimum_calls: Count = 20
    """How many calls the window must hold before a rate opens the breaker."""
    open_s: Seconds = 15.0
    """How long an open breaker waits before it lets one call through."""

    @field_validator("minimum_calls")
    @classmethod
    def _reached(cls, value: int, info: ValidationInfo) -> int:
        window = info.data.get("window", value)
        if value > window:
            raise ValueError(f"expected at most window ({window}), got {value}")
        return value


class ProviderSettings(_Group):
    """One provider account."""

    id: ProviderId
    """Name of the provider in events, metrics and commands; the two providers have two names."""
    kind: ProviderKind
    """Which adapter speaks to the provider: its own one, or the generic HTTP gateway."""
    preset: Line | None = Field(default=None, validate_default=True)
    """For kind `http`: name of a shipped preset or path of a YAML file."""
    base_url: HttpUrlOrEmpty = Field(default="", validate_default=True)
    """Address of the provider's API. Kind `africastalking` may leave it out: then it is the live
    address, or the sandbox where the user name is `sandbox`."""
    username: Line | None = Field(default=None, validate_default=True)
    """User name of the account; kind `africastalking` needs one."""
    secret: Credential | None = Field(default=None, validate_default=True)
    """API key or password."""
    sender_id: Sender | None = None
    """The account's registered sender id, used where a message names none."""
    parameters: dict[str, Line] = Field(default_factory=dict)
    """Further values a preset's templates may name."""
    connect_timeout_s: Seconds = 3.0
    """Longest time for opening a connection; after it, the message was not sent."""
    deadline_s: Seconds = 30.0
    """Longest time from the first byte sent to the last byte read; after it: unknown."""
    keep_alive_s: float = Field(default=4.0, ge=0, le=3_600, allow_inf_nan=False)
    """Longest time that a connection may be idle and still be used; 0: none is kept. Below the 5 s
    after which many servers close it; a server that names a shorter time is heeded."""
    max_in_flight: Count = 64
    """Calls under way at once, over all replicas."""
    rate_per_s: float = Field(default=500.0, gt=0, le=1_000_000, allow_inf_nan=False)
    """Calls begun a second, over all replicas."""
    low_balance: float | None = Field(default=None, allow_inf_nan=False)
    """Alert when the account's balance falls below, in the account's currency."""
    report_token: Token | None = None
    """Secret path segment of the delivery-report webhook."""
    report_base_url: HttpUrl | None = None
    """Public address of the webhook, for gateways that are told it with each message."""
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


class MailSecurity(StrEnum):
    """How the way to the mail server is protected."""

    STARTTLS = "starttls"
    """Plain at first, encrypted before anything is said."""
    TLS = "tls"
    NONE = "none"
    """For a relay on the same machine; with a login it is refused."""


class SmtpSettings(_Group):
    """The server that takes our mails."""

    host: Host
    """Host of the mail server; without one no mails are sent."""
    port: int | None = Field(default=None, ge=1, le=65_535)
    """Default: 587 with `starttls`, 465 with `tls`, 25 with `none`."""
    username: Line | None = None
    """Login at the mail server; none: mails go out without a login."""
    password: Credential | None = Field(default=None, validate_default=True)
    """Password of the login; it needs the user name, and the user name needs it."""
    security: MailSecurity = MailSecurity.STARTTLS
    """How the connection is encrypted; `none` is refused together with a login."""
    sender: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]
    """Address the mails come from."""

    @field_validator("password")
    @classmethod
    def _both_or_neither(cls, value: Credential | None, info: ValidationInfo) -> Credential | None:
        if "username" in info.data and (info.data["username"] is None) is not (value is None):
            raise ValueError("expected with username, and only with it")
        return value

    @field_validator("security")
    @classmethod
    def _login_protected(cls, value: MailSecurity, info: ValidationInfo) -> MailSecurity:
        if value is MailSecurity.NONE and info.data.get("username") is not None:
            raise ValueError("expected starttls or tls with a login, got none")
        return value

    @property
    def port_used(self) -> int:
        """The port, or what is usual."""
        usual = {MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465, MailSecurity.NONE: 25}
        return self.port or usual[self.security]


class NotifySettings(_Group):
    """How people are told of alerts. Who is told: `NotificationRecipients` in the flags."""

    repeat_s: Seconds = 900.0
    """Time until a critical alert that nobody acknowledged is told again."""
    settle_s: float = Field(default=30.0, ge=0, le=86_400, allow_inf_nan=False)
    """How long a trouble must be over before people are told so."""
    timeout_s: float = Field(default=15.0, gt=0, le=30, allow_inf_nan=False)
    """Longest time for one mail or one POST."""
    allow_private: bool = False
    """Whether a webhook may lead to a private or loopback address."""


class RuleBy(StrEnum):
    """What follows an attempt that may have left; see `domain.messages.message.OnUnknown`."""

    RESEND = "resend"
    HOLD = "hold"


class MessageSettings(FromEnvironment):
    """What it takes to understand a command: shared by workers and by whoever replays one."""

    mongo_database: DatabaseName = "sms"
    """Name of the database."""
    hash_key: Credential
    """Key of the hashes of numbers and texts; the same on every replica, and never changed."""
    allowed_regions: Annotated[frozenset[Region], Field(min_length=1)] = frozenset({"ZM"})
    """Countries that numbers may belong to, as a JSON array of ISO 3166 codes."""
    default_region: Region = Field(default="ZM", validate_default=True)
    """Country that national numbers are read in; one of the allowed ones."""
    strict_numbers: bool = True
    """False accepts numbers that are possible but unknown to the numbering metadata."""
    life_transactional_s: Seconds = 600.0
    """Life of a transactional message without `expiresAt`."""
    life_bulk_s: Seconds = 86_400.0
    """Life of a bulk message without `expiresAt`."""
    unknown_by_type: dict[str, RuleBy] = Field(default_factory=dict)
    """What follows an attempt that may have been sent, by message type, as a JSON object
    (`{"Otp": "hold"}`). `resend`: one more attempt through another provider; `hold`: none. A type
    that is not named follows its lane: `resend` for transactional, `hold` for bulk."""

    @field_validator("default_region")
    @classmethod
    def _allowed(cls, value: str, info: ValidationInfo) -> str:
        if value not in info.data.get("allowed_regions", {value}):
            raise ValueError(f"expected one of allowed_regions, got {value}")
        return value


class Settings(MessageSettings):
    """All settings of one worker process."""

    amqp_url: AmqpUrl = Field(validation_alias=AliasChoices("AMQP_URL", "SMS_AMQP_URL"))
    """Address of RabbitMQ with the login of the user `worker`."""
    mongo_url: MongoUrl = Field(validation_alias=AliasChoices("MONGO_URL", "SMS_MONGO_URL"))
    """Address of MongoDB, a replica set."""

    target: ProviderSettings
    """The provider that traffic moves to."""
    legacy: ProviderSettings
    """The provider that traffic comes from."""

    prefetch_transactional: Prefetch = 96
    """Transactional messages a replica has in hand at once; calls to one provider take at most 3 in
    4 of them."""
    prefetch_bulk: Prefetch = 96
    """The same for bulk messages."""
    rounds_transactional: Count = 4
    """Rounds of a transactional message that may end without a send before it is `failed`."""
    rounds_bulk: Count = 12
    """The same for bulk messages."""

    lease_margin_s: Seconds = 15.0
    """A lease outlives the longest provider deadline by that much."""
    snapshot_max_age_s: Seconds = 5.0
    """A replica that could not verify its state for so long sends nothing new."""
    drain_grace_s: Seconds = Field(default=45.0, validate_default=True)
    """Longest time that a worker takes after SIGTERM to finish what it has in hand; more than the
    longest provider deadline."""
    roles: dict[BrokerUser, RankName] = Field(default_factory=_default_roles)
    """Who may steer: role (observer, operator, administrator) by broker user, as a JSON object."""
    store_timeout_s: float = Field(default=5.0, ge=0.1, le=3_600, allow_inf_nan=False)
    """Longest time for one operation of the database."""

    report_deadline_s: Seconds = 48 * 3600.0
    """A message without a final delivery report is `sms.unreported` after that."""
    delivery_age_s: Seconds = Field(default=600.0, validate_default=True)
    """Age at which an accepted message is judged delivered or not, before the report deadline."""
    keep_records_s: Seconds = Field(default=30 * 86_400.0, validate_default=True)
    """How long settled records of messages are kept."""

    smtp: SmtpSettings | None = None
    """The mail server. None: no mails are sent."""
    notify: NotifySettings = NotifySettings()
    """How people are told of alerts."""

    flags_file: Path = Path("deploy/flags.json")
    """Flags that the first start of all puts in force; it is not read again."""
    tariffs_file: Path | None = None
    """Prices by provider and country (YAML), for providers that do not tell the cost."""

    private_host: Host = "127.0.0.1"
    """Address on which `/live` and `/ready` are served."""
    private_port: Port = 0
    """Port of `/live` and `/ready`; 0 takes a free one."""

    log_level: LogLevel = "info"
    """`debug`, `info`, `warning` or `error`."""
    trace_ratio: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """Share of new traces that are recorded. Above 0 the decision of the caller is followed; 0
    records none."""

    @field_validator("legacy")
    @classmethod
    def _two_ids(cls, value: ProviderSettings, info: ValidationInfo) -> ProviderSettings:
        target = info.data.get("target")
        if target is not None and target.id == value.id:
            raise ValueError(f"id: expected another one than the target's, got {value.id!r} twice")
        return value

    @field_validator("drain_grace_s")
    @classmethod
    def _outlives_a_call(cls, value: float, info: ValidationInfo) -> float:
        accounts = (info.data.get("target"), info.data.get("legacy"))
        longest = max((account.deadline_s for account in accounts if account), default=0.0)
        if value <= longest:
            raise ValueError(
                f"expected more than the longest provider deadline ({longest} s), got {value}"
            )
        return value

    @field_validator("delivery_age_s")
    @classmethod
    def _before_the_deadline(cls, value: float, info: ValidationInfo) -> float:
        deadline = info.data.get("report_deadline_s")
        if deadline is not None and value >= deadline:
            raise ValueError(f"expected less than report_deadline_s ({deadline}), got {value}")
        return value

    @field_validator("keep_records_s")
    @classmethod
    def _after_the_deadline(cls, value: float, info: ValidationInfo) -> float:
        deadline = info.data.get("report_deadline_s")
        if deadline is not None and value <= deadline:
            raise ValueError(f"expected more than report_deadline_s ({deadline}), got {value}")
        return value

    @property
    def prefetch(self) -> dict[Lane, int]:
        """Messages in hand at once, by lane."""
        return {
            Lane.TRANSACTIONAL: self.prefetch_transactional,
            Lane.BULK: self.prefetch_bulk,
        }

    @property
    def lease_s(self) -> float:
        """Seconds an intent holds its record."""
        longest = max(p.deadline_s + p.connect_timeout_s for p in (self.target, self.legacy))
        return longest + self.lease_margin_s


class WebhookSettings(FromEnvironment):
    """All settings of the webhook process: its own broker user, and the tokens."""

    amqp_url: AmqpUrl = Field(validation_alias=AliasChoices("AMQP_URL", "SMS_AMQP_URL"))
    """Address of RabbitMQ with the login of the user `webhook`."""
    webhook_host: Host = "127.0.0.1"
    """Address on which the webhook listens."""
    webhook_port: Port = 0
    """Port on which the webhook listens; 0 takes a free one."""
    webhook_tokens: Annotated[dict[ProviderId, Token], Field(min_length=1)]
    """Secret path segment by provider id, as a JSON object."""
    webhook_answers: dict[ProviderId, WebhookAnswer] = Field(default_factory=dict)
    """Body of the answer 200 by provider id, as a JSON object; `ok` where none is given. For
    gateways that repeat a report until they read their own word (Jasmin: `ACK/Jasmin`)."""
    log_level: LogLevel = "info"
    """`debug`, `info`, `warning` or `error`."""

    @field_validator("webhook_answers")
    @classmethod
    def _of_known_providers(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if unknown := sorted(value.keys() - info.data.get("webhook_tokens", value).keys()):
            raise ValueError(f"expected providers of webhook_tokens, got {', '.join(unknown)}")
        return value
