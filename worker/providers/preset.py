"""The description of a gateway: one YAML file, validated whole.

Rules:
- `rules` is an ordered table; the first row that matches an answer decides. An answer no row
  matches is `Unknown`. A row that accepts needs an HTTP status and something in the body: many
  gateways answer 200 to everything.
- Bodies are forms, JSON of any depth, XML or text (`preset_body`). Answers are read by JSON paths
  (`messages.0.status.name`) and regular expressions; those of XML by the latter.
- No value of a slot can change what is around it (`template`), or the file is refused.
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
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from worker.domain.messages.message import Delivery
from worker.providers.preset_body import Part, Place, Text
from worker.providers.preset_call import Auth, Call, fields_at, url_problems
from worker.providers.template import DIGITS
from worker.settings import yaml_files
from worker.settings.types import without

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGITS_AND_NUMBER: Final = DIGITS | {"to"}


def _compiled(source: str) -> str:
    try:
        re.compile(source)
    except re.error as error:
        raise ValueError(f"expected a regular expression, got {source!r}: {error}") from error
    return source


Regex = Annotated[str, AfterValidator(_compiled)]
Folded = Annotated[str, AfterValidator(str.casefold)]


class Verdict(StrEnum):
    """What a row of `rules` says about an answer."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """What no provider may do: no other one is asked."""
    OPTED_OUT = "opted_out"
    NOT_SENT = "not_sent"
    """Proof that the gateway did not take it."""
    RECIPIENT = "recipient"
    """Proof, and the reason is the number, which this gateway does not serve."""
    MESSAGE = "message"
    """Proof, and the reason is what this message asks for (its text, its length)."""
    AUTHENTICATION = "authentication"
    BALANCE = "balance"
    SENDER = "sender"
    """The sender id: ours (account fault) or the message's own (like `message`)."""
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
    opted_out: frozenset[Folded] = frozenset()
    """Reasons that say that the recipient wants no messages of this sender, in any case."""
    status: str = "status"
    statuses: dict[str, Delivery]

    @model_validator(mode="after")
    def _correlated(self) -> Self:
        without(list(url_problems(self.url, "report_base_url")))
        if not (self.message_id or self.provider_message_id):
            raise ValueError("expected 'message_id' or 'provider_message_id', got neither")
        return self


class ConsentFields(Part):
    """Callbacks about consent: which fields hold what."""

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
    optouts: ConsentFields | None = None
    optins: ConsentFields | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.number == "local" and not self.country_code:
            raise ValueError("country_code: expected with the number form 'local', got none")
        if not any(rule.verdict is Verdict.ACCEPTED for rule in self.rules):
            raise ValueError("rules: expected a row with the verdict 'accepted', got none")
        return self

    @model_validator(mode="after")
    def _safe(self) -> Self:
        problems = []
        for name, template, form in self.places():
            try:
                template.check(form, self.digits)
            except ValueError as error:
                problems.append(f"{name}: {error}")
        without(problems)
        return self

    @property
    def digits(self) -> frozenset[str]:
        """Slots that hold nothing but digits."""
        return _DIGITS_AND_NUMBER if self.number == "digits" else DIGITS

    def places(self) -> Iterator[Place]:
        """Every template of this preset."""
        yield from self.send.places("send")
        yield from fields_at("auth.fields", self.auth.fields)
        if self.check:
            yield from self.check.request.places("check.request")
        if self.reports:
            yield Place("reports.url", self.reports.url, "address")

    def slots(self) -> frozenset[str]:
        """Every name that a template of this preset needs."""
        return frozenset().union(*(place.template.slots() for place in self.places()))


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
    file = resources.files("worker.providers") / "presets" / f"{name}.yaml"
    try:
        return yaml_files.read((file if name in shipped() else Path(name)).read_text("utf-8"))
    except OSError as error:
        known = ", ".join(shipped())
        raise ValueError(f"preset: expected one of {known} or a file, got {name!r}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"preset: {name}: expected UTF-8") from error
    except ValueError as error:
        raise ValueError(f"preset: {name}: {error}") from error
