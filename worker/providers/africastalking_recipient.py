"""One recipient in an answer of Africa's Talking, made harmless, and the names of its codes.

Rules:
- Reading is total: any JSON value may stand anywhere.
- A status code that is there counts as it is; one that cannot be read proves nothing, and no name
  stands in for it. Where there is none, the rest must agree: a failure names no id, costs nothing
  and is not called a success.
- Names are read whatever their case and blanks (`Invalid Phone Number`).
- A recipient is ours where its number is the one we asked for in any form of its numbering plan.
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
"""No number of a recipient is that long."""
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
"""By their names, as `plain_name` gives them."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One entry of `Recipients`, made harmless."""

    code: int | None
    """As given; by the name of a failure where none is given."""
    has_code: bool
    """Whether one is given, readable or not."""
    status: str
    """As `plain_name` gives it."""
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
        """Whether it says that nothing is charged."""
        return read_money(self.cost)[0] == 0

    def may_be_taken(self) -> bool:
        """An id, or a cost that is there and not zero, contradicts a refusal."""
        return self.names_id or not (self.cost is None or self.costs_nothing())

    def says_it_was_not_taken(self) -> bool:
        """No id, no cost and no success: enough, where there is no code."""
        without_sign = not self.names_id and not self._names_success()
        return without_sign and self.costs_nothing() and not self.has_code

    def says_it_was_taken(self) -> bool:
        """A success and an id: enough, where there is no code."""
        return self._names_success() and self.names_id and not self.has_code

    def _names_success(self) -> bool:
        return self.status != "" and self.status in SUCCESS_TEXTS


def plain_name(raw: object) -> str:
    """A name in lower case and without blanks; empty for what is no text."""
    return "".join(raw.split()).lower() if isinstance(raw, str) else ""


def is_number_of(raw: object, to: str) -> bool:
    """Whether an entry's number is the one we asked for.

    Args:
        raw: E.164 with or without its plus sign, or a form of the plan of the number we asked for:
            `0977123456`, `00260977123456`. A part of the number is none.
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
    """A small number, also as text; None for everything else."""
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        return None
    return int(raw) if re.fullmatch(r"\d{1,6}", str(raw), re.ASCII) else None
