"""Process settings: from the environment, validated whole, read once at the composition root.

Rules: secrets are `SecretStr`; every problem is listed at once; nothing here changes at run time
(what does is in the control log, seeded from `flags_file`). Names in the environment are upper
case with the prefix `SMS_`, nested by two underscores: `SMS_TARGET__BASE_URL`. `AMQP_URL` and
`MONGO_URL` stand without a prefix.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    StringConstraints,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from worker.domain.effects import Rank

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings import PydanticBaseSettingsSource

ProviderId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]

_AMQP: Final = ("amqp://", "amqps://")
_MONGO: Final = ("mongodb://", "mongodb+srv://")
_HTTP: Final = ("http://", "https://")


def _begins(value: str, schemes: tuple[str, ...]) -> None:
    if not value.startswith(schemes):
        raise ValueError(f"expected an address that begins with {' or '.join(schemes)}")


def _amqp(value: SecretStr) -> SecretStr:
    _begins(value.get_secret_value(), _AMQP)
    return value


def _mongo(value: SecretStr) -> SecretStr:
    _begins(value.get_secret_value(), _MONGO)
    return value


def _http(value: str) -> str:
    _begins(value, _HTTP)
    return value


def _http_or_none(value: str) -> str:
    return _http(value) if value else value


AmqpUrl = Annotated[SecretStr, AfterValidator(_amqp)]
MongoUrl = Annotated[SecretStr, AfterValidator(_mongo)]
HttpUrl = Annotated[str, AfterValidator(_http)]


def _rank(value: object) -> object:
    """Roles in any case; `Admin` and `SMS_Admin` are what the replaced system called them."""
    plain = str(value).lower()
    return Rank.ADMINISTRATOR if plain in ("admin", "sms_admin") else plain


BrokerUser = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]+$")]
RankName = Annotated[Rank, BeforeValidator(_rank)]


def _default_roles() -> dict[str, Rank]:
    return {"administrator": Rank.ADMINISTRATOR, "observer": Rank.OBSERVER}


class _Environment(EnvSettingsSource):
    """Leaves what is no JSON to validation, which names it beside every other problem."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class FromEnvironment(BaseSettings):
    """Settings that are read from the environment and from nowhere else."""

    model_config = SettingsConfigDict(
        env_prefix="SMS_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - replaced
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment."""
        return init_settings, _Environment(settings_cls)


class ProviderKind(StrEnum):
    """Which adapter speaks to a provider."""

    AFRICASTALKING = "africastalking"
    HTTP = "http"
    """The generic HTTP gateway, described by a preset file."""


class BreakerSettings(BaseModel):
    """When a provider's circuit breaker opens and how it closes again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    consecutive_failures: PositiveInt = 5
    failure_rate: float = Field(default=0.5, gt=0, le=1)
    slow_call_rate: float = Field(default=0.8, gt=0, le=1)
    slow_call_s: PositiveFloat = 5.0
    window: PositiveInt = 50
    """Calls the rates look back on."""
    minimum_calls: PositiveInt = 20
    """Calls in the window before a rate means anything."""
    open_s: PositiveFloat = 15.0
    """Seconds before the first probe."""


class ProviderSettings(BaseModel):
    """One provider account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: ProviderId
    kind: ProviderKind
    preset: str | None = None
    """For kind `http`: name of a shipped preset or path of a YAML file."""
    base_url: Annotated[str, AfterValidator(_http_or_none)] = ""
    """Empty only for kind `africastalking`: its live or sandbox address, by user name."""
    username: str | None = None
    secret: SecretStr | None = None
    """API key or password."""
    sender_id: str | None = None
    """The account's registered sender id, used where a message names none."""
    parameters: dict[str, str] = Field(default_factory=dict)
    """Further values a preset's templates may name."""
    connect_timeout_s: PositiveFloat = 3.0
    deadline_s: PositiveFloat = 30.0
    """Longest time from the first byte sent to the last byte read; after it: unknown."""
    max_in_flight: PositiveInt = 64
    """Calls under way at once, over all replicas."""
    rate_per_s: PositiveFloat = 500.0
    """Calls begun a second, over all replicas."""
    low_balance: float | None = None
    """Alert when the account's balance falls below, in the account's currency."""
    report_token: SecretStr | None = None
    """Secret path segment of the delivery-report webhook."""
    report_base_url: HttpUrl | None = None
    """Public address of the webhook, for gateways that are told it with each message."""
    breaker: BreakerSettings = BreakerSettings()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind is ProviderKind.HTTP and not self.base_url:
            raise ValueError("base_url: expected the gateway's address, got nothing")
        if self.kind is ProviderKind.HTTP and not self.preset:
            raise ValueError("preset: expected a preset name or file for kind 'http', got nothing")
        if self.kind is ProviderKind.AFRICASTALKING and not (self.username and self.secret):
            raise ValueError("username, secret: both are required for kind 'africastalking'")
        return self


class MailSecurity(StrEnum):
    """How the way to the mail server is protected."""

    STARTTLS = "starttls"
    """Plain at first, encrypted before anything is said."""
    TLS = "tls"
    NONE = "none"
    """For a relay on the same machine; with a login it is refused."""


class SmtpSettings(BaseModel):
    """The server that takes our mails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, StringConstraints(min_length=1)]
    port: int | None = Field(default=None, ge=1, le=65_535)
    """Default: 587 with `starttls`, 465 with `tls`, 25 with `none`."""
    security: MailSecurity = MailSecurity.STARTTLS
    username: str | None = None
    password: SecretStr | None = None
    sender: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")]
    """Address the mails come from."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.username is None) is not (self.password is None):
            raise ValueError("username, password: expected both or neither")
        if self.username is not None and self.security is MailSecurity.NONE:
            raise ValueError("security: expected starttls or tls with a login, got none")
        return self

    @property
    def port_used(self) -> int:
        """The port, or what is usual."""
        usual = {MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465, MailSecurity.NONE: 25}
        return self.port or usual[self.security]


class NotifySettings(BaseModel):
    """How people are told of alerts. Whom: `NotificationRecipients` in the flags."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repeat_s: PositiveFloat = 900.0
    """Until a critical alert nobody acknowledged is told again."""
    settle_s: float = Field(default=30.0, ge=0)
    """How long a trouble must be over before that is told; if it comes back, it was never over."""
    timeout_s: float = Field(default=15.0, gt=0, le=30)
    """Longest time for one mail or one POST."""
    allow_private: bool = False
    """Whether a webhook may lead to a private or loopback address."""


class RuleBy(StrEnum):
    """What happens to messages whose attempt may have left; see `domain.message.OnUnknown`."""

    RESEND = "resend"
    HOLD = "hold"


class MessageSettings(FromEnvironment):
    """What it takes to understand a command: shared by workers and by whoever replays one."""

    mongo_database: str = "sms"
    hash_key: SecretStr = Field(min_length=1)
    """Key of recipient hashes and fingerprints; the same on every replica, never changed."""
    default_region: str = Field(default="ZM", pattern=r"^[A-Z]{2}$")
    allowed_regions: frozenset[str] = frozenset({"ZM"})
    strict_numbers: bool = True
    """False accepts numbers that are possible but unknown to the numbering metadata."""
    life_transactional_s: PositiveFloat = 600.0
    """Default life of a message without `expiresAt`."""
    life_bulk_s: PositiveFloat = 86_400.0
    unknown_by_type: dict[str, RuleBy] = Field(default_factory=dict)
    """Policy by message type where it differs from the lane's."""


class Settings(MessageSettings):
    """All settings of one worker process."""

    amqp_url: AmqpUrl = Field(validation_alias=AliasChoices("AMQP_URL", "SMS_AMQP_URL"))
    mongo_url: MongoUrl = Field(validation_alias=AliasChoices("MONGO_URL", "SMS_MONGO_URL"))

    target: ProviderSettings
    legacy: ProviderSettings

    prefetch_transactional: PositiveInt = 96
    prefetch_bulk: PositiveInt = 64
    rounds_transactional: PositiveInt = 4
    """Rounds that may end in proof of not sent before `failed`."""
    rounds_bulk: PositiveInt = 12

    lease_margin_s: PositiveFloat = 15.0
    """A lease outlives the longest provider deadline by that much."""
    snapshot_max_age_s: PositiveFloat = 5.0
    drain_grace_s: PositiveFloat = 45.0
    roles: dict[BrokerUser, RankName] = Field(default_factory=_default_roles)
    """Who may steer: role (observer, operator, administrator) by broker user, as a JSON object."""
    store_timeout_s: PositiveFloat = 5.0

    report_deadline_s: PositiveFloat = 48 * 3600.0
    delivery_age_s: PositiveFloat = 600.0
    """Age at which an accepted attempt is judged delivered or not."""
    keep_records_s: PositiveFloat = 30 * 86_400.0

    smtp: SmtpSettings | None = None
    """None: no mails are sent."""
    notify: NotifySettings = NotifySettings()

    flags_file: Path = Path("deploy/flags.json")
    tariffs_file: Path | None = None

    private_host: str = "127.0.0.1"
    private_port: int = Field(default=0, ge=0, le=65_535)
    """Port of `/live` and `/ready`; 0 takes a free one."""

    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")
    trace_ratio: float = Field(default=0.0, ge=0, le=1)
    """Share of new traces that are recorded; above 0 a caller's decision is followed. 0: none."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        if self.target.id == self.legacy.id:
            problems.append(f"target and legacy: expected two ids, got {self.target.id!r} twice")
        longest = max(self.target.deadline_s, self.legacy.deadline_s)
        if self.drain_grace_s <= longest:
            problems.append(
                f"drain_grace_s: expected more than the longest provider deadline "
                f"({longest} s), got {self.drain_grace_s}"
            )
        if self.delivery_age_s >= self.report_deadline_s:
            problems.append(
                f"delivery_age_s: expected less than report_deadline_s "
                f"({self.report_deadline_s}), got {self.delivery_age_s}"
            )
        if self.keep_records_s <= self.report_deadline_s:
            problems.append(
                f"keep_records_s: expected more than report_deadline_s "
                f"({self.report_deadline_s}), got {self.keep_records_s}"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def lease_s(self) -> float:
        """Seconds an intent holds its record."""
        longest = max(p.deadline_s + p.connect_timeout_s for p in (self.target, self.legacy))
        return longest + self.lease_margin_s


class WebhookSettings(FromEnvironment):
    """All settings of the webhook process: its own broker user, and the tokens."""

    amqp_url: AmqpUrl = Field(validation_alias=AliasChoices("AMQP_URL", "SMS_AMQP_URL"))
    webhook_host: str = "127.0.0.1"
    webhook_port: int = Field(default=0, ge=0, le=65_535)
    webhook_tokens: dict[ProviderId, SecretStr]
    """Secret path segment by provider id, as a JSON object."""
    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")
