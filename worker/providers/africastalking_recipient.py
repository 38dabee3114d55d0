"""Reads one recipient in an answer of Africa's Talking safely, and names its status codes.

Rules:
- Reading never fails, because any JSON value may be anywhere.
- A given status code counts as it is. If it cannot be read, it proves nothing, and the name does
  not replace it. Without a code, the rest must agree: a failure has no id, costs nothing and is not
  called a success.
- Case and blanks of names do not matter (`Invalid Phone Number`).
- A recipient is ours if its number is that of the request, in any form of its numbering plan.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import phonenumbers

from worker.numbers import normaliser
from worker.providers.amounts import read_money
from worker.providers.answer import read_id

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS: Final = frozenset({100, 101, 102})
"""Processed, Sent, Queued."""
_HUGE: Final = 10**20
"""Longest number of a recipient that is read."""
_NO_ID: Final = frozenset({"", "none", "null"})
SUCCESS_TEXTS: Final = frozenset({"", "success", "processed", "sent", "queued"})

NAMES: Final[Mapping[int, str]] = {
    401: "RiskHold",
    402: "InvalidSenderId",
    403: "InvalidPhoneNumber",
    404: "UnsupportedNumberType",
    405: "InsufficientBalance",
    406: "UserInBlacklist",
    407: "CouldNotRoute",
    409: "DoNotDisturbRejection",
    500: "InternalServerError",
    501: "GatewayError",
    502: "RejectedByGateway",
}
"""Documented failure codes of one recipient. 408 is not documented."""

CODES: Final[Mapping[str, int]] = {name.lower(): code for code, name in NAMES.items()}
"""Failure codes by name, as `plain_name` returns it."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One entry of `Recipients`, with checked values."""

    code: int | None
    """The status code; if none is given, that of the failure's name."""
    has_code: bool
    """Whether a status code is given, readable or not."""
    status: str
    """The status name, as `plain_name` returns it."""
    message_id: str | None
    names_id: bool
    cost: Any
    parts: int | None

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Recipient:
        """Read an entry."""
        named, status = raw.get("messageId", ""), plain_name(raw.get("status"))
        code = raw.get("statusCode")
        has_code = code is not None and not (isinstance(code, str) and not code.strip())
        single = named is None or isinstance(named, str | int | float)
        names_id = not (single and str(named).strip().lower() in _NO_ID)
        return cls(
            code=integer(code) if has_code else CODES.get(status),
            has_code=has_code,
            status=status,
            message_id=read_id(named) if names_id else None,
            names_id=names_id,
            cost=raw.get("cost"),
            parts=integer(raw.get("messageParts")),
        )

    def costs_nothing(self) -> bool:
        """Whether the entry says that nothing is charged."""
        return read_money(self.cost)[0] == 0

    def may_be_taken(self) -> bool:
        """Whether an id or a non-zero cost contradicts a refusal."""
        return self.names_id or not (self.cost is None or self.costs_nothing())

    def says_it_was_not_taken(self) -> bool:
        """Whether it has no id, no cost and no success, which proves a failure without a code."""
        without_sign = not self.names_id and not self._names_success()
        return without_sign and self.costs_nothing() and not self.has_code

    def says_it_was_taken(self) -> bool:
        """Whether it has a success name and an id, which is enough without a code."""
        return self._names_success() and self.names_id and not self.has_code

    def _names_success(self) -> bool:
        return self.status != "" and self.status in SUCCESS_TEXTS


def plain_name(raw: object) -> str:
    """A name in lower case and without blanks; empty: it is no text."""
    return "".join(raw.split()).lower() if isinstance(raw, str) else ""


def is_number_of(raw: object, to: str) -> bool:
    """Whether an entry's number is that of the request.

    Args:
        raw: E.164 with or without its plus sign, or a form of the numbering plan of `to`:
            `0977123456`, `00260977123456`. A part of the number does not match.
        to: E.164.
    """
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        return False
    named = str(raw) if isinstance(raw, str) or abs(raw) < _HUGE else ""
    if _digits(named) == _digits(to):
        return True
    try:
        country = phonenumbers.parse(to).country_code or 0
    except phonenumbers.NumberParseException:
        return False
    region = phonenumbers.region_code_for_country_code(country)
    return normaliser(region, frozenset({region}), strict=False)(named) == to


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))


def integer(raw: object) -> int | None:
    """Read a small number, also from text; None: anything else."""
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        return None
    return int(raw) if re.fullmatch(r"\d{1,6}", str(raw), re.ASCII) else None
