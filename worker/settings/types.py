"""The types of settings, and the values that each refuses.

Rules: a problem says what was expected and shows nothing of a credential. Values are never trimmed.
A text, secret or not, is refused if it begins or ends with a blank or line end, or has a control
character.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Annotated, Final

from phonenumbers import SUPPORTED_REGIONS
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PositiveInt,
    SecretStr,
    StringConstraints,
)

from worker.domain.migration.access import AccessRole
from worker.settings.addresses import (
    AMQP,
    MONGO,
    amqp_problems,
    http_problems,
    mongo_problems,
    pairs,
    split,
)
from worker.settings.redaction import basic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DECADE_S: Final = 10 * 366 * 86_400.0
_HOST: Final = re.compile(r"[\w.:-]{1,253}")
_SENDER: Final = re.compile(r"\+?\d{3,15}|(?=.*[A-Za-z])[ -~]{1,11}")
_SECRET_OPTIONS: Final = ("tlscertificatekeyfilepassword", "authmechanismproperties")
_ENDS_A_STEP: Final = frozenset("/?#%&")


def _line(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise ValueError("expected no control characters, and no blanks or line ends at its ends")
    return value


def _credential(value: SecretStr) -> SecretStr:
    plain = value.get_secret_value()
    if not plain.strip():
        raise ValueError("expected a value, got only blanks")
    _line(plain)
    return value


def _token(value: SecretStr) -> SecretStr:
    plain = value.get_secret_value()
    if not plain.isascii() or " " in plain or _ENDS_A_STEP.intersection(plain):
        raise ValueError(
            "expected ASCII characters without blanks and / ? # % &: it is a step of an address"
        )
    return value


def _address(problems: Callable[[str], list[str]]) -> Callable[[SecretStr], SecretStr]:
    def judged(value: SecretStr) -> SecretStr:
        without(problems(value.get_secret_value()))
        return value

    return judged


def _http(value: str) -> str:
    without(http_problems(value))
    return value


def _http_or_none(value: str) -> str:
    return _http(value) if value else value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("expected a host name or an IP address, without scheme, path and blanks")
    return value


def _sender(value: str) -> str:
    if value != value.strip() or not _SENDER.fullmatch(value):
        raise ValueError(
            "expected 1 to 11 ASCII characters with a letter among them, or a number of 3 to 15 "
            f"digits, got {len(value)} characters"
        )
    return value


def _region(value: str) -> str:
    if value not in SUPPORTED_REGIONS:
        raise ValueError("expected a country as in ISO 3166, two capital letters")
    return value


def _rank(value: object) -> object:
    """Read roles in any case. `Admin` and `SMS_Admin` are names of the replaced system."""
    plain = str(value).lower()
    return AccessRole.ADMINISTRATOR if plain in ("admin", "sms_admin") else plain


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str | SecretStr) else value


def credentials(settings: BaseModel) -> Iterator[str]:
    """All credentials in the settings, with the passwords of addresses, to be hidden in logs."""
    for name in type(settings).model_fields:
        yield from _within(getattr(settings, name))
    login = (getattr(settings, "username", None), getattr(settings, "secret", None))
    if isinstance(login[0], str) and isinstance(login[1], SecretStr):
        yield basic(login[0], login[1].get_secret_value())
    yield from getattr(settings, "parameters", {}).values()


def _within(value: object) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from credentials(value)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _within(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from _within(each)
    elif isinstance(value, SecretStr):
        plain = value.get_secret_value()
        scheme, _, rest = plain.partition("://")
        yield from _passwords(rest) if f"{scheme}://" in (*AMQP, *MONGO) else (plain,)


def _passwords(rest: str) -> Iterator[str]:
    parts = split(rest)
    yield (parts.login or "").partition(":")[2]
    yield from (value for name, value in pairs(parts.query) if name.lower() in _SECRET_OPTIONS)


def without(problems: list[str]) -> None:
    """Refuse a value that has problems.

    Raises:
        ValueError: with all problems in one text, which `worker.cli.configuration` splits again.
    """
    if problems:
        raise ValueError("; ".join(problems))


Line = Annotated[str, AfterValidator(_line)]
Title = Annotated[str, StringConstraints(max_length=40), AfterValidator(_line)]
Credential = Annotated[SecretStr, AfterValidator(_credential)]
Token = Annotated[Credential, AfterValidator(_token)]
Tokens = Annotated[
    tuple[Token, ...], Field(min_length=1, max_length=2), BeforeValidator(_one_or_more)
]
"""One token, or the two that are valid while it is changed."""
AmqpUrl = Annotated[SecretStr, AfterValidator(_address(amqp_problems))]
MongoUrl = Annotated[SecretStr, AfterValidator(_address(mongo_problems))]
"""An address of MongoDB. The driver checks its options (`worker.store.address_check`)."""
HttpUrl = Annotated[str, AfterValidator(_http)]
HttpUrlOrEmpty = Annotated[str, AfterValidator(_http_or_none)]
Host = Annotated[str, AfterValidator(_host)]
ReplicaName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Network = IPv4Network | IPv6Network
Port = Annotated[int, Field(ge=0, le=65_535)]
DatabaseName = Annotated[str, StringConstraints(pattern=r"^[^\s./\\\"$\x00]{1,63}$")]
"""A name that MongoDB accepts for a database."""
Seconds = Annotated[float, Field(gt=0, le=_DECADE_S, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Count = Annotated[PositiveInt, Field(le=1_000_000)]
TraceRatio = Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)]
Prefetch = Annotated[PositiveInt, Field(le=65_535)]
"""A number of deliveries, for which the protocol has 16 bits."""
LogLevel = Annotated[str, StringConstraints(pattern=r"^(debug|info|warning|error)$")]
Sender = Annotated[str, AfterValidator(_sender)]
"""A sender that a phone can show."""
Region = Annotated[str, AfterValidator(_region)]
ProviderId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
WebhookAnswer = Annotated[str, StringConstraints(max_length=1_000)]
BrokerUser = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]+$")]
RankName = Annotated[AccessRole, BeforeValidator(_rank)]
