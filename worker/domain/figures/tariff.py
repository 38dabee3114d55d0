"""Prices of messages by provider, country and day: the table, and the cost of a message by it.

Rules: the cost that a provider names in its reply comes before the table. A table is either
accepted as a whole or refused with all its problems. Of the rows in force on a day, the one with
the longest matching calling prefix counts. Two rows of one provider and prefix are never in force
on the same day. Days are calendar days in UTC, both ends included. Money is decimal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from worker.domain.messages.outcome import Accepted, Money

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from worker.domain.messages.message import Message
    from worker.domain.messages.outcome import Outcome

_PREFIX: Final = re.compile(r"\+?([1-9][0-9]{0,14})", re.ASCII)
_PROVIDER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_FIELDS: Final = ("provider", "prefix", "validFrom", "validTo", "price", "currency")

Value = TypeVar("Value")


class TariffError(ValueError):
    """A table cannot be used. `problems` lists all reasons."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Row:
    """One price, per segment."""

    provider: str
    prefix: str
    """Calling prefix without `+`: a country (`260`) or a part of it (`26097`)."""
    valid_from: date
    valid_to: date
    """The last day, included; `date.max`: no end."""
    price: Decimal
    currency: str
    """ISO 4217 code."""

    def on(self, day: date) -> bool:
        """Whether the row is in force on this day."""
        return self.valid_from <= day <= self.valid_to


@dataclass(frozen=True, slots=True)
class Tariff:
    """A table of prices. `Tariff({})` is empty."""

    rows: Mapping[tuple[str, str], tuple[Row, ...]]
    """Rows by provider and prefix."""

    def cost(self, message: Message, provider: str, outcome: Outcome, on: date) -> Money | None:
        """The cost of a call; None: nothing was accepted, or nobody names a price.

        Args:
            message: what was sent.
            provider: configured id.
            outcome: of the call. It may name the cost itself, and the count of segments.
            on: the day of the call, in UTC.
        """
        if not isinstance(outcome, Accepted):
            return None
        segments = outcome.parts or message.segments
        return outcome.cost or self.price(provider, message.to, segments, on)

    def price(self, provider: str, e164: str, segments: int, on: date) -> Money | None:
        """The price of a whole message; None: the table has no row for it.

        Args:
            provider: configured id.
            e164: recipient, e.g. `+260977123456`.
            segments: number of parts of the message.
            on: the day it was sent, in UTC.
        """
        digits = e164.removeprefix("+")
        for length in range(len(digits), 0, -1):
            for row in self.rows.get((provider, digits[:length]), ()):
                if row.on(on):
                    return Money(row.price * segments, row.currency)
        return None


def parse(raw: object) -> Tariff:
    """Read a table from the output of a YAML or JSON reader.

    Shape: `{"tariffs": [{provider, prefix, validFrom?, validTo?, price, currency}, ...]}`. The
    prefix may have a `+`. Days are dates or `YYYY-MM-DD`; an absent day leaves that end open. The
    price is for one segment, best written in quotes.

    Raises:
        TariffError: lists all problems, with rows counted from 1.
    """
    if not isinstance(raw, dict) or set(raw) != {"tariffs"} or not isinstance(raw["tariffs"], list):
        raise TariffError(("expected an object with one list, 'tariffs'",))
    read = [(place, _row(each)) for place, each in enumerate(raw["tariffs"], 1)]
    rows = [(place, row) for place, row in read if isinstance(row, Row)]
    wrong = [(place, each) for place, each in read if not isinstance(each, Row)]
    problems = [f"row {place}: {problem}" for place, found in wrong for problem in found]
    problems += _overlaps(rows)
    if problems:
        raise TariffError(tuple(problems))
    return Tariff(_index(row for _, row in rows))


def _index(rows: Iterable[Row]) -> dict[tuple[str, str], tuple[Row, ...]]:
    table: dict[tuple[str, str], tuple[Row, ...]] = {}
    for row in rows:
        key = (row.provider, row.prefix)
        table[key] = (*table.get(key, ()), row)
    return table


def _overlaps(rows: list[tuple[int, Row]]) -> list[str]:
    groups: dict[tuple[str, str], list[tuple[int, Row]]] = {}
    for place, row in rows:
        groups.setdefault((row.provider, row.prefix), []).append((place, row))
    return [
        f"rows {a} and {b}: expected one price for {one.provider} +{one.prefix} on any day, "
        f"got two from {max(one.valid_from, other.valid_from)} "
        f"to {min(one.valid_to, other.valid_to)}"
        for group in groups.values()
        for (a, one), (b, other) in combinations(group, 2)
        if one.valid_from <= other.valid_to and other.valid_from <= one.valid_to
    ]


@dataclass(frozen=True, slots=True)
class _Read(Generic[Value]):
    """A field of a row as read."""

    value: Value
    """A stand-in where there is a problem."""
    problem: str = ""


def _row(raw: object) -> Row | tuple[str, ...]:
    """Read one row, or say all that is wrong with it."""
    if not isinstance(raw, dict):
        return (f"expected an object, got {raw!r}",)
    unknown = [str(name) for name in raw if name not in _FIELDS]
    provider = _text(raw, "provider", _PROVIDER, "a provider id in lower case")
    prefix = _text(raw, "prefix", _PREFIX, "a calling prefix such as +260")
    currency = _text(raw, "currency", _CURRENCY, "an ISO 4217 code")
    price = _price(raw.get("price"))
    first = _day(raw, "validFrom", date.min)
    last = _day(raw, "validTo", date.max)
    read: tuple[_Read[Any], ...] = (provider, prefix, currency, price, first, last)
    problems = [each.problem for each in read if each.problem]
    if first.value > last.value:
        problems.append(f"validTo: expected {first.value} or later, got {last.value}")
    if unknown or problems:
        return (*(f"{name}: expected one of {', '.join(_FIELDS)}" for name in unknown), *problems)
    number = prefix.value.lstrip("+")
    return Row(provider.value, number, first.value, last.value, price.value, currency.value)


def _text(raw: Mapping[str, object], name: str, form: re.Pattern[str], expected: str) -> _Read[str]:
    value = raw.get(name)
    written = str(value) if type(value) is int else value  # YAML reads +260 as a number
    if isinstance(written, str) and form.fullmatch(written):
        return _Read(written)
    return _Read("", f"{name}: expected {expected}, got {value!r}")


def _price(value: object) -> _Read[Decimal]:
    try:
        # The shortest spelling of a float is the one written in the file.
        amount = Decimal(repr(value) if type(value) in (int, float) else str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if amount.is_finite() and amount >= 0:
        return _Read(amount)
    return _Read(Decimal(0), f"price: expected a decimal number of 0 or more, got {value!r}")


def _day(raw: Mapping[str, object], name: str, default: date) -> _Read[date]:
    value = raw.get(name)
    if value is None:
        return _Read(default)
    if isinstance(value, date) and not isinstance(value, datetime):
        return _Read(value)
    try:
        return _Read(date.fromisoformat(str(value)))
    except ValueError:
        return _Read(default, f"{name}: expected a day such as 2026-01-31, got {value!r}")
