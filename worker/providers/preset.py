"""The preset: one YAML file that describes a gateway, validated as a whole.

Rules:
- `rules` is an ordered table. The first row that matches an answer decides. An answer without a
  matching row is `Unknown`. A row that accepts needs an HTTP status and a condition on the body,
  because many gateways answer 200 to everything.
- Bodies are forms, JSON of any depth, XML or text (`preset_body`). Answers are read by JSON paths
  (`messages.0.status.name`) and regular expressions, XML only by the latter.
- The file is refused if the value of a slot could change the text around it (`template`).
- The file is refused with all of its problems if a slot is unknown, an address is incomplete, or a
  regular expression does not compile.

Shipped presets are in `presets/`. `load` takes one of their names or the path of a file.
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
    """The verdict of a row of `rules`."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """No provider may send it, so no other one is called."""
    OPTED_OUT = "opted_out"
    NOT_SENT = "not_sent"
    """A proof that the gateway did not take it."""
    RECIPIENT = "recipient"
    """A proof. The gateway does not serve the number."""
    MESSAGE = "message"
    """A proof. The reason is in the message (its text, its length)."""
    AUTHENTICATION = "authentication"
    BALANCE = "balance"
    SENDER = "sender"
    """The sender id is refused: ours (account fault) or the message's own (like `message`)."""
    SLOW_DOWN = "slow_down"
    UNKNOWN = "unknown"
    """The outcome is unknown. Such a row protects an answer from later rows."""


class Rule(Part):
    """One row. It matches if all its conditions hold."""

    status: frozenset[int] = frozenset()
    """HTTP statuses; empty: any."""
    fields: dict[str, str | int | bool | list[str | int]] = Field(
        default_factory=dict, alias="json"
    )
    """Path in the JSON body (`error.code`, `response.0.id`) -> the allowed value or values."""
    regex: Regex | None = None
    """Regular expression that must match anywhere in the body."""
    verdict: Verdict
    code: str | None = None
    """Code of the outcome; default: `http_<status>`."""

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
    """The place of a value in an answer: a JSON path, or the first group of a pattern."""

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
    """Delivery reports: the address that the gateway gets, and the names of their fields."""

    url: Text
    percent: Literal["%", "%%"] = "%"
    """How a percent sign is written in the address; `%%` if the gateway expands escapes."""
    message_id: str | None = None
    """The field with our own message id. The next ones are names of fields too."""
    epoch: str | None = None
    provider_message_id: str | None = None
    to: str | None = None
    network_code: str | None = None
    reason: str | None = None
    opted_out: frozenset[Folded] = frozenset()
    """Reasons that mean an opt-out from this sender; case does not matter."""
    status: str = "status"
    statuses: dict[str, Delivery]

    @model_validator(mode="after")
    def _correlated(self) -> Self:
        without(list(url_problems(self.url, "report_base_url")))
        if not (self.message_id or self.provider_message_id):
            raise ValueError("expected 'message_id' or 'provider_message_id', got neither")
        return self


class ConsentFields(Part):
    """Callbacks about consent: the names of their fields."""

    to: str
    sender_id: str | None = None


class Preset(Part):
    """The description of a gateway."""

    name: str
    about: str = ""
    number: Literal["e164", "digits", "local"] = "e164"
    """Form of numbers: `+260977123456`, `260977123456` or `0977123456`."""
    country_code: str | None = Field(default=None, pattern=r"^[1-9]\d{0,2}$")
    """For `local`: the code of the only country that the gateway serves."""
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
        """The slots that always hold only digits."""
        return _DIGITS_AND_NUMBER if self.number == "digits" else DIGITS

    def places(self) -> Iterator[Place]:
        """All templates of this preset."""
        yield from self.send.places("send")
        yield from fields_at("auth.fields", self.auth.fields)
        if self.check:
            yield from self.check.request.places("check.request")
        if self.reports:
            yield Place("reports.url", self.reports.url, "address")

    def slots(self) -> frozenset[str]:
        """All names that the templates of this preset need."""
        return frozenset().union(*(place.template.slots() for place in self.places()))


@cache
def shipped() -> tuple[str, ...]:
    """The names of the shipped presets."""
    folder = resources.files("worker.providers") / "presets"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def load(name: str) -> Preset:
    """Load a shipped preset, or the file at a path.

    Raises:
        ValueError: there is no such preset, it is no YAML, or it has problems (all are named).
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
