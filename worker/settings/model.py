"""The settings of a process, read from the environment once, at its start.

Rules: secrets are `SecretStr`. All problems are listed at once, each at its field; if two fields
contradict each other, at the later one. Settings do not change at run time. What changes is in the
control log, whose first entry comes from `flags_file`. `worker.settings.environment` defines the
names of variables; `AMQP_URL` and `MONGO_URL` have no prefix.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AliasChoices,
    Field,
    field_validator,
)

from worker.domain.messages.message import Lane
from worker.domain.migration.access import AccessRole
from worker.settings.alerting import NotifySettings, SmtpSettings
from worker.settings.environment import FromEnvironment
from worker.settings.providers import ProviderSettings
from worker.settings.types import (
    AmqpUrl,
    BrokerUser,
    Count,
    Credential,
    DatabaseName,
    Host,
    LogLevel,
    MongoUrl,
    Network,
    Port,
    Prefetch,
    ProviderId,
    RankName,
    Region,
    ReplicaName,
    Seconds,
    Tokens,
    TraceRatio,
    WebhookAnswer,
)

if TYPE_CHECKING:
    from pydantic import ValidationInfo


def _default_roles() -> dict[str, AccessRole]:
    return {"administrator": AccessRole.ADMINISTRATOR, "observer": AccessRole.OBSERVER}


class RuleBy(StrEnum):
    """What to do after an attempt that may have left; see `domain.messages.message.OnUnknown`."""

    RESEND = "resend"
    HOLD = "hold"


class MessageSettings(FromEnvironment):
    """Settings for decoding commands, shared by the workers and the replay of dead letters."""

    mongo_database: DatabaseName = "sms"
    """Name of the database."""
    hash_key: Credential
    """Key of the hashes of numbers and texts, the same on every replica. How it is changed:
    `deploy/README.md`, "Changing the hash key"."""
    hash_keys_other: Annotated[tuple[Credential, ...], Field(max_length=4)] = ()
    """Other keys, as a JSON array: what is stored with them is recognised too. Earlier keys stay
    here, because an opt-out is known only by the key of its time."""
    allowed_regions: Annotated[frozenset[Region], Field(min_length=1)] = frozenset({"ZM"})
    """Countries that numbers may belong to, as a JSON array of ISO 3166 codes."""
    default_region: Region = Field(default="ZM", validate_default=True)
    """Country of numbers without a country code; one of the allowed countries."""
    strict_numbers: bool = True
    """False also accepts numbers that are possible but unknown to the numbering metadata."""
    life_transactional_s: Seconds = 600.0
    """Life of a transactional message without `expiresAt`."""
    life_bulk_s: Seconds = 86_400.0
    """Life of a bulk message without `expiresAt`."""
    unknown_by_type: dict[str, RuleBy] = Field(default_factory=dict)
    """What to do after an attempt that may have left, by message type, as a JSON object
    (`{"Otp": "hold"}`). `resend`: one more attempt through another provider; `hold`: none. Other
    types follow their lane: `resend` for transactional, `hold` for bulk."""

    @field_validator("default_region")
    @classmethod
    def _allowed(cls, value: str, info: ValidationInfo) -> str:
        if value not in info.data.get("allowed_regions", {value}):
            raise ValueError(f"expected one of allowed_regions, got {value}")
        return value


class Settings(MessageSettings):
    """All settings of one worker process."""

    amqp_url: AmqpUrl = Field(validation_alias=AliasChoices("AMQP_URL", "SMS_AMQP_URL"))
    """Address of RabbitMQ with the login of the user `worker`. Several hosts of a cluster stand
    with commas between them (`amqps://worker:...@mq-1:5671,mq-2:5671,mq-3:5671/`); login, virtual
    host and options are those of all. A connection tries them in random order until one takes
    it."""
    mongo_url: MongoUrl = Field(validation_alias=AliasChoices("MONGO_URL", "SMS_MONGO_URL"))
    """Address of MongoDB, a replica set."""

    target: ProviderSettings
    """The provider to which traffic moves."""
    legacy: ProviderSettings
    """The provider from which traffic moves away."""

    prefetch_transactional: Prefetch = 96
    """Transactional messages that a replica handles at once. At most three quarters of them may be
    calls to one provider."""
    prefetch_bulk: Prefetch = 96
    """The same for bulk messages."""
    rounds_transactional: Count = 4
    """Rounds without a send after which a transactional message is `failed`."""
    rounds_bulk: Count = 12
    """The same for bulk messages."""

    lease_margin_s: Seconds = 15.0
    """How much longer a lease lasts than the longest provider deadline."""
    snapshot_max_age_s: Seconds = 5.0
    """A replica that could not verify its state for this time sends nothing new."""
    drain_grace_s: Seconds = Field(default=45.0, validate_default=True)
    """Longest time after SIGTERM for finishing the messages in progress; more than the longest
    provider deadline."""
    roles: dict[BrokerUser, RankName] = Field(default_factory=_default_roles)
    """Role (observer, operator, administrator) by broker user, as a JSON object."""
    store_timeout_s: float = Field(default=5.0, ge=0.1, le=3_600, allow_inf_nan=False)
    """Longest time for one operation of the database."""

    report_deadline_s: Seconds = 48 * 3600.0
    """Age at which a message without a final delivery report is `sms.unreported`."""
    delivery_age_s: Seconds = Field(default=600.0, validate_default=True)
    """Age at which an accepted message counts as delivered or not, before the report deadline."""
    keep_records_s: Seconds = Field(default=30 * 86_400.0, validate_default=True)
    """How long settled records of messages are kept."""

    smtp: SmtpSettings | None = None
    """The mail server. None: no mails are sent."""
    notify: NotifySettings = NotifySettings()
    """Timing of the notices about alerts."""

    flags_file: Path = Path("deploy/flags.json")
    """File with the flags for the very first start. It is not read again."""
    tariffs_file: Path | None = None
    """File with prices by provider and country (YAML), for providers that do not name the cost."""

    private_host: Host = "127.0.0.1"
    """Address on which `/live`, `/ready` and `/metrics` are served."""
    private_port: Port = 0
    """Port of `/live`, `/ready` and `/metrics`; 0: a free one."""

    log_level: LogLevel = "info"
    """`debug`, `info`, `warning` or `error`."""
    replica: ReplicaName | None = None
    """Name of the replica in logs, heartbeats, connections and metrics, without the letters
    that each start adds. Default: the name of the host."""
    trace_ratio: TraceRatio = None
    """Share of new traces that are recorded; where spans are recorded, the decision of the caller
    is followed. Spans go to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names (default: 0.01),
    else to standard output (default: 0, which records none)."""

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
        """Messages handled at once, by lane."""
        return {
            Lane.TRANSACTIONAL: self.prefetch_transactional,
            Lane.BULK: self.prefetch_bulk,
        }

    @property
    def lease_s(self) -> float:
        """The length of a lease in seconds."""
        longest = max(p.deadline_s + p.connect_timeout_s for p in (self.target, self.legacy))
        return longest + self.lease_margin_s


class WebhookSettings(FromEnvironment):
    """All settings of the webhook process, which has its own broker user."""

    amqp_url: AmqpUrl = Field(validation_alias=AliasChoices("AMQP_URL", "SMS_AMQP_URL"))
    """Address of RabbitMQ with the login of the user `webhook`; several hosts as of the worker."""
    webhook_host: Host = "127.0.0.1"
    """Address on which the webhook listens."""
    webhook_port: Port = 0
    """Port on which the webhook listens; 0: a free one."""
    webhook_tokens: Annotated[dict[ProviderId, Tokens], Field(min_length=1)]
    """Secret path segment by provider id, as a JSON object (`{"legacy": "..."}`). While a token is
    changed, two are valid (`{"legacy": ["new", "old"]}`)."""
    webhook_answers: dict[ProviderId, WebhookAnswer] = Field(default_factory=dict)
    """Body of the answer 200 by provider id, as a JSON object; `ok` if none is given. For gateways
    that repeat a report until they get a special answer (Jasmin: `ACK/Jasmin`)."""
    webhook_sources: dict[ProviderId, frozenset[Network]] = Field(default_factory=dict)
    """Networks that the callbacks of a provider come from, by provider id, as a JSON object
    (`{"africastalking": ["192.0.2.0/24", "2001:db8::/32"]}`). A provider without an entry may call
    from anywhere."""
    webhook_trusted_proxies: frozenset[Network] = frozenset()
    """Networks of your own reverse proxies, as a JSON array. Only what they add to
    `X-Forwarded-For` is believed; without any, the header is ignored and the source of a request is
    the address of its connection."""
    webhook_rate_per_s: float = Field(default=500.0, ge=0.1, le=100_000, allow_inf_nan=False)
    """Most requests per second from one source; more get 429. Sources are told apart only if
    `SMS_WEBHOOK_TRUSTED_PROXIES` names the proxy, where there is one."""
    log_level: LogLevel = "info"
    """`debug`, `info`, `warning` or `error`."""

    webhook_private_host: Host = "127.0.0.1"
    """Address on which `/live`, `/ready` and `/metrics` of the webhook are served."""
    webhook_private_port: Port = 0
    """Port of `/live`, `/ready` and `/metrics` of the webhook; 0: a free one."""
    replica: ReplicaName | None = None
    """As of the worker."""
    trace_ratio: TraceRatio = None
    """As of the worker; a callback always begins a trace."""

    @field_validator("webhook_trusted_proxies")
    @classmethod
    def _not_everybody(cls, value: frozenset[Network]) -> frozenset[Network]:
        if any(not network.prefixlen for network in value):
            raise ValueError("expected the networks of your proxies, got all addresses")
        return value

    @field_validator("webhook_answers", "webhook_sources")
    @classmethod
    def _of_known_providers(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if unknown := sorted(value.keys() - info.data.get("webhook_tokens", value).keys()):
            raise ValueError(f"expected providers of webhook_tokens, got {', '.join(unknown)}")
        return value
