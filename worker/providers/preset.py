"""The description of a gateway: one YAML file, validated whole.

Rules:
- `rules` is an ordered table; the first row that matches an answer decides. An answer no row
  matches is `Unknown`. A row that accepts needs an HTTP status and something in the body: many
  gateways answer 200 to everything.
- Every slot is known, every address complete, every regular expression compiles, or the file is
  refused with all of its problems.

Presets shipped are in `presets/`; `load` takes one of their names or the path of a file.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from worker.domain.message import Delivery
from worker.providers.template import Template

_ACCOUNT: Final = {"base_url", "username", "secret", "sender_id", "provider_id"}
_MESSAGE: Final = {"to", "text", "message_id", "epoch", "coding", "valid_for_s", "valid_for_min"}
_REPORT: Final = {"report_base_url", "report_token", "report_url"}
SLOTS: Final = frozenset(_ACCOUNT | _MESSAGE | _REPORT)
"""What templates may name, besides `ProviderSettings.parameters`."""


def _parse(source: object) -> object:
    return Template.parse(source) if isinstance(source, str) else source


def _compiled(source: str) -> str:
    try:
        re.compile(source)
    except re.error as error:
        raise ValueError(f"expected a regular expression, got {source!r}: {error}") from error
    return source


Text = Annotated[Template, BeforeValidator(_parse)]
Fields = dict[str, Text]
Regex = Annotated[str, AfterValidator(_compiled)]


class Part(BaseModel):
    """Base of everything in a preset."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Auth(Part):
    """How a call is authorised; `fields` are the headers or the query values."""

    kind: Literal["none", "basic", "bearer", "header", "query"] = "none"
    fields: Fields = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fields_where_used(self) -> Self:
        if (self.kind in {"header", "query"}) != bool(self.fields):
            raise ValueError("fields: expected with the kinds 'header' and 'query', and only there")
        return self


class Body(Part):
    """The request's body: `fields` of a form or a JSON object, or `text`."""

    kind: Literal["form", "json", "text"]
    fields: Fields = Field(default_factory=dict)
    text: Text | None = None

    @model_validator(mode="after")
    def _content(self) -> Self:
        if (self.kind == "text") != (self.text is not None) or (self.kind == "text") == bool(
            self.fields
        ):
            raise ValueError("expected 'text' for the kind 'text' and 'fields' for the others")
        return self


class Call(Part):
    """One HTTP request."""

    method: Literal["GET", "POST", "PUT"]
    url: Text
    query: Fields = Field(default_factory=dict)
    headers: Fields = Field(default_factory=dict)
    body: Body | None = None

    def templates(self) -> list[Template]:
        """Every template of the request."""
        body = [*self.body.fields.values()] if self.body else []
        if self.body and self.body.text:
            body.append(self.body.text)
        return [self.url, *self.query.values(), *self.headers.values(), *body]


class Verdict(StrEnum):
    """What a row of `rules` says about an answer."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The message's or the recipient's own fault."""
    OPTED_OUT = "opted_out"
    NOT_SENT = "not_sent"
    """Proof that the gateway did not take it."""
    RECIPIENT = "recipient"
    """Proof, and the number's fault on this route."""
    AUTHENTICATION = "authentication"
    BALANCE = "balance"
    SENDER = "sender"
    """The sender id: ours (account fault) or the message's own (refused)."""
    SLOW_DOWN = "slow_down"
    UNKNOWN = "unknown"
    """Said outright, to shield an answer from a later row."""


class Rule(Part):
    """One row: all conditions given must hold."""

    status: frozenset[int] = frozenset()
    """HTTP statuses; empty: any."""
    fields: dict[str, str | int | bool | list[str | int]] = Field(
        default_factory=dict, alias="json"
    )
    """Path in the JSON body (`error.code`, `response.0.id`) -> the value or values it must have."""
    regex: Regex | None = None
    """Found anywhere in the body."""
    verdict: Verdict
    code: str | None = None
    """Code of the outcome; default `http_<status>`."""

    @model_validator(mode="after")
    def _specific(self) -> Self:
        if not (self.status or self.fields or self.regex):
            raise ValueError("expected a condition (status, json or regex), got none")
        if self.verdict is Verdict.ACCEPTED and not (self.status and (self.fields or self.regex)):
            raise ValueError(
                "accepted: expected a status and a condition on the body (json, regex)"
            )
        return self


class Extract(Part):
    """Where a value is in an answer: a JSON path, or the first group of a regular expression."""

    path: str | None = Field(default=None, alias="json")
    regex: Regex | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.path is None) == (self.regex is None):
            raise ValueError("expected one of 'json' and 'regex'")
        if self.regex is not None and re.compile(self.regex).groups < 1:
            raise ValueError(f"regex: expected a group, got {self.regex!r}")
        return self


class Check(Part):
    """The account call."""

    request: Call
    balance: Extract
    currency: Extract | None = None


class Reports(Part):
    """Delivery reports: our address as the gateway is told it, and how to read what comes."""

    url: Text
    percent: Literal["%", "%%"] = "%"
    """How a percent sign is written in the address; `%%` where the gateway expands escapes."""
    message_id: str | None = None
    """Field that holds our own message id; likewise below."""
    epoch: str | None = None
    provider_message_id: str | None = None
    to: str | None = None
    network_code: str | None = None
    reason: str | None = None
    status: str = "status"
    statuses: dict[str, Delivery]

    @model_validator(mode="after")
    def _correlated(self) -> Self:
        if not (self.message_id or self.provider_message_id):
            raise ValueError("expected 'message_id' or 'provider_message_id', got neither")
        return self


class OptOuts(Part):
    """Opt-out callbacks: which fields hold what."""

    to: str
    sender_id: str | None = None


class Preset(Part):
    """A gateway."""

    name: str
    about: str = ""
    number: Literal["e164", "digits", "local"] = "e164"
    """`+260977123456`, `260977123456` or `0977123456`."""
    country_code: str | None = Field(default=None, pattern=r"^[1-9]\d{0,2}$")
    """For `local`: the one country the gateway serves."""
    auth: Auth = Auth()
    send: Call
    rules: list[Rule] = Field(min_length=1)
    message_id: Extract | None = None
    parts: Extract | None = None
    cost: Extract | None = None
    currency: Extract | None = None
    check: Check | None = None
    reports: Reports | None = None
    optouts: OptOuts | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.number == "local" and not self.country_code:
            raise ValueError("country_code: expected with the number form 'local', got none")
        if not any(rule.verdict is Verdict.ACCEPTED for rule in self.rules):
            raise ValueError("rules: expected a row with the verdict 'accepted', got none")
        return self

    def slots(self) -> frozenset[str]:
        """Every name that a template of this preset needs."""
        templates = [*self.send.templates(), *self.auth.fields.values()]
        if self.check:
            templates += self.check.request.templates()
        if self.reports:
            templates.append(self.reports.url)
        return frozenset().union(*(template.slots() for template in templates))


@cache
def shipped() -> tuple[str, ...]:
    """Names of the presets that come with the worker."""
    folder = resources.files("worker.providers") / "presets"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def load(name: str) -> Preset:
    """Load a shipped preset, or the file at a path.

    Raises:
        ValueError: no such preset, no YAML, or a description with problems (all of them named).
    """
    return Preset.model_validate(_document(name))


def _document(name: str) -> Any:
    try:
        if name in shipped():
            source = resources.files("worker.providers") / "presets" / f"{name}.yaml"
            return yaml.safe_load(source.read_text("utf-8"))
        return yaml.safe_load(Path(name).read_text("utf-8"))
    except OSError as error:
        known = ", ".join(shipped())
        raise ValueError(f"preset: expected one of {known} or a file, got {name!r}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"preset {name!r}: expected YAML: {error}") from error
