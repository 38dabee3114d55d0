"""What providers report, as it came: published by the webhook on `sms.reports`.

Rules: nothing is interpreted here, so nothing can be lost to a wrong interpretation; the adapter of
the provider reads the fields later. It is bounded all the same, and holds whole characters only:
what a worker reads it can store. Fields hold full numbers: this exchange is read by the worker
alone.
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
    """One report of a provider's callback, its fields as they came."""

    provider: Line
    """Configured id."""
    kind: ReportKind
    received_at: Moment
    """When the webhook had read it."""
    fields: Annotated[dict[Name, Value], Field(max_length=MAX_FIELDS)]
    """One report; the name of a nested field is its path, e.g. `data.to.0.status`."""


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
