"""Raw reports of providers, which the webhook publishes on `sms.reports`.

Rules: nothing is interpreted here, so a wrong interpretation cannot lose anything; the provider's
adapter reads the fields later. A report is still bounded and holds whole characters only, so that
a worker can store what it reads. Fields hold full phone numbers, so only the worker reads this
exchange.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from contracts.codec import DecodeError, read_object
from contracts.model import Line, Moment, Wire

MAX_FIELDS: Final = 256
MAX_NAME: Final = 128
"""Characters of a field's name."""
MAX_VALUE: Final = 48 * 1024
"""Characters of a field's value."""

Name = Annotated[str, Field(strict=True), StringConstraints(min_length=1, max_length=MAX_NAME)]
Value = Annotated[str, Field(strict=True), StringConstraints(max_length=MAX_VALUE)]

ReportKind = Literal["delivery", "optout", "optin"]
"""A delivery report, or a subscriber's wish to get no more messages, or to get them again."""


class RawReport(Wire):
    """One report of a provider's callback, with its fields as they came."""

    provider: Line
    """Configured provider id."""
    kind: ReportKind
    received_at: Moment
    """When the webhook had read it."""
    fields: Annotated[dict[Name, Value], Field(max_length=MAX_FIELDS)]
    """Fields of the report; the name of a nested field is its path, e.g. `data.to.0.status`."""


def decode_report(body: bytes) -> RawReport:
    """Read a report.

    Raises:
        DecodeError: not a report; the problems name fields and never their content.
    """
    data = read_object(body)
    try:
        return RawReport.model_validate(data)
    except ValidationError as error:
        names = dict.fromkeys(str(each["loc"][0]) for each in error.errors(include_input=False))
        problems = tuple(f"{name}: missing or of the wrong form" for name in names)
        raise DecodeError("not a report", None, problems) from None
