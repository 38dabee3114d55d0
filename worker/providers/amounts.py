"""Reads amounts of money as gateways write them.

Examples: `KES 0.8000`, `Ksh. 600.56`, `KES -0.29`, `1,234.56`, `ZMW1 234,50`, `600.56 KES`,
`(0.29)`, `0.29-`, `0.29 DR`, and numbers.

Rules:
- If there are both separators, the decimals follow the last one. A single separator also begins the
  decimals, except a comma before exactly three digits (`1,234`), which separates thousands.
- A minus on either side, brackets, or DR (debit) make an amount negative; CR (credit) does not. Two
  words that are not the same currency are no amount, because one may mean `owed`.
- Text that is no amount, or too long for one, is read as None.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from worker.domain.messages.outcome import NO_CURRENCY, Money

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST: Final = 40
_NAME: Final = r"[A-Za-z]{1,4}\.?|GH₵|[$€£₦₵]"
_AMOUNT: Final = re.compile(
    rf"({_NAME})? ?([-+(]?) ?({_NAME})? ?([-+]?) ?((?:\d|\.\d)[\d., ']*?) ?([-+]?) ?(\)?)"
    rf" ?({_NAME})? ?([-+]?) ?({_NAME})?",
    re.ASCII,
)
_USUAL: Final = re.compile(r"(?!KSH|TSH|USH|ZMK|GHC)([A-Z]{3}) (\d{1,12}\.\d{1,8})", re.ASCII)
"""The form of nearly all answers, which is read first to save time."""
_PLAIN: Final = re.compile(r"(\d{0,12})(?:\.(\d{1,8}))?", re.ASCII)
_SPACED: Final = re.compile(r"\d{1,3}(?:[ ']\d{3})+(?:[.,]\d+)?", re.ASCII)
_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2},\d{3}|\d{1,3}(?:,\d{2,3})+,\d{3}", re.ASCII)
_DOTTED: Final = re.compile(r"\d{1,3}(?:\.\d{3}){2,}", re.ASCII)
_SHILLINGS: Final = re.compile(r"(?:/[=-]|\.)$")
"""Possible ends of an amount without cents (`600/=`)."""
_SPACES: Final = re.compile(r"\s+")
_DEBIT: Final = frozenset({"DR", "DB", "OD"})
"""Words for an owed amount: debit, overdrawn."""
_CREDIT: Final = frozenset({"CR"})
_WRITTEN: Final = str.maketrans({"\u2212": "-", "\u2019": "'"})

_CODES: Final[Mapping[str, str]] = {
    "KSH": "KES",
    "TSH": "TZS",
    "USH": "UGX",
    "K": "ZMW",
    "ZMK": "ZMW",
    "MK": "MWK",
    "R": "ZAR",
    "$": "USD",
    "€": "EUR",
    "£": "GBP",
    "₦": "NGN",
    "₵": "GHS",
    "GH₵": "GHS",
    "GHC": "GHS",
}
"""ISO 4217 codes of currencies that are written differently."""


def read_money(raw: object) -> tuple[Decimal | None, str | None]:
    """Read an amount and its currency; None: not given."""
    if isinstance(raw, str) and (usual := _USUAL.fullmatch(raw)):
        return Decimal(usual[2]), usual[1]
    match = _AMOUNT.fullmatch(_text(raw))
    amount = _number(match[5]) if match else None
    if match is None or amount is None or ("(" in match[2]) != bool(match[7]):
        return None, None
    words = [_plain(word) for word in match.group(1, 3, 8, 10) if word]
    codes = {_code(word) for word in words if word not in _DEBIT | _CREDIT}
    if not match[8]:
        codes.discard(None)  # `US$`: only the word after the amount may name the currency
    if len(codes) > 1:
        return None, None
    signs = "".join(match.group(2, 4, 6, 9))
    negative = "-" in signs or "(" in signs or not _DEBIT.isdisjoint(words)
    return (-amount if negative else amount), next(iter(codes), None)


def money(raw: object, currency: object = None) -> Money | None:
    """Read money whose currency is in the text or is `currency`; None: there is no currency."""
    amount, named = read_money(raw)
    if named is None and isinstance(currency, str):
        named = _code(currency.strip())
    return Money(amount, named) if amount is not None and named else None


def cost(raw: object, currency: object = None) -> Money | None:
    """Read the cost of a message; None: not given, or it makes no sense."""
    cost = money(raw, currency)
    return cost if cost is not None and cost.amount >= 0 else None


def balance(raw: object, currency: object = None) -> Money | None:
    """Read the balance of an account. It may be negative and without a currency."""
    amount, _ = read_money(raw)
    known = money(raw, currency)
    return known or (Money(amount, NO_CURRENCY) if amount is not None else None)


def _text(raw: object) -> str:
    """The possible amount as one line of text; empty: it cannot be one."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return ""
    if isinstance(raw, float):
        raw = f"{Decimal(repr(raw)):f}"
    elif isinstance(raw, int):
        raw = str(raw) if abs(raw) < 10**_LONGEST else ""
    if len(raw) > _LONGEST:
        return ""
    return _SHILLINGS.sub("", _SPACES.sub(" ", raw).translate(_WRITTEN).strip())


def _plain(word: str) -> str:
    return word.rstrip(".").upper()


def _code(name: str) -> str | None:
    """The currency's code; None: it is unknown."""
    name = _plain(name)
    code = _CODES.get(name, name)
    return code if re.fullmatch(r"[A-Z]{3}", code) else None


def _number(written: str) -> Decimal | None:
    """Read the number, without separators of thousands."""
    if " " in written or "'" in written:
        if _SPACED.fullmatch(written) is None:
            return None
        written = written.replace(" ", "").replace("'", "")
    elif _THOUSANDS.fullmatch(written):
        written = written.replace(",", "")
    elif _DOTTED.fullmatch(written):
        written = written.replace(".", "")
    dot, comma = written.rfind("."), written.rfind(",")
    decimal, other = (".", ",") if dot > comma else (",", ".")
    written = written.replace(other, "").replace(decimal, ".")
    match = _PLAIN.fullmatch(written)
    return Decimal(written) if match and (match[1] or match[2]) else None
