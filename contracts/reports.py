"""What providers report, as it came: published by the webhook on `sms.reports`.

Rules: nothing is interpreted here, so nothing can be lost to a wrong interpretation; the adapter of
the provider reads the fields later. Fields hold full numbers: this exchange is read by the worker
alone.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from contracts.codec import DecodeError, read_object
from contracts.model import Line, Moment, Wire

ReportKind = Literal["delivery", "optout"]
"""A delivery report, or a subscriber's wish to get no more messages."""


class RawReport(Wire):
    """One callback of a provider, its form or query fields as they came."""

    provider: Line
    """Configured id."""
    kind: ReportKind
    received_at: Moment
    """When the webhook had read it."""
    fields: dict[str, str]
    """First value of each field."""


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
