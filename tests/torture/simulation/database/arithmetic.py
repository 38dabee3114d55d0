"""Sums, differences and conversions as expressions compute them.

Rules: null or an absent field among the operands makes the result null. A date moves by
milliseconds. Decimals have 34 digits. Operands of other types are refused as the server refuses
them.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, Final

from bson import Decimal128, Timestamp
from bson.decimal128 import create_decimal128_context

from tests.torture.simulation.database.errors import TYPE_MISMATCH, ServerError
from tests.torture.simulation.database.values import MISSING, NUMBERS, whole_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_DIVIDED_BY_ZERO: Final = 2


def _absent(*values: Any) -> bool:
    return any(value is None or value is MISSING for value in values)


def _refused(name: str, *values: Any) -> ServerError:
    kinds = ", ".join(type(value).__name__ for value in values)
    return ServerError(TYPE_MISMATCH, f"{name} of {kinds}")


def ms_since_epoch(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - _EPOCH) // _MS


def later(moment: datetime, ms: float) -> datetime:
    """A date some milliseconds later."""
    return whole_ms(moment + timedelta(milliseconds=round(ms)))


def _numeric(name: str, values: Iterable[Any], combine: Callable[[Any, Any], Any]) -> Any:
    """Combine numbers; if one is a decimal, the result is one."""
    numbers = list(values)
    if not all(type(value) in NUMBERS for value in numbers):
        raise _refused(name, *numbers)
    if not any(type(value) is Decimal128 for value in numbers):
        return _folded(numbers, combine)
    with localcontext(create_decimal128_context()):
        return Decimal128(_folded(map(_decimal, numbers), combine))


def _folded(numbers: Iterable[Any], combine: Callable[[Any, Any], Any]) -> Any:
    first, *others = numbers
    for other in others:
        first = combine(first, other)
    return first


def _decimal(value: Any) -> Decimal:
    return value.to_decimal() if type(value) is Decimal128 else Decimal(value)


def add(*values: Any) -> Any:
    """`$add`: numbers, and at most one date."""
    if _absent(*values):
        return None
    dates = [value for value in values if type(value) is datetime]
    if not dates:
        return _numeric("$add", values, lambda one, other: one + other)
    if len(dates) > 1:
        raise _refused("$add", *values)
    numbers = [value for value in values if type(value) is not datetime]
    return later(dates[0], _numeric("$add", (0, *numbers), lambda one, other: one + other))


def subtract(one: Any, other: Any) -> Any:
    """`$subtract`: numbers, a number from a date, or dates, whose difference is in ms."""
    if _absent(one, other):
        return None
    if type(one) is not datetime:
        return _numeric("$subtract", (one, other), lambda one, other: one - other)
    if type(other) is datetime:
        return (one - other) // _MS
    return add(one, multiply(other, -1))


def multiply(*values: Any) -> Any:
    """`$multiply`."""
    if _absent(*values):
        return None
    return _numeric("$multiply", values, lambda one, other: one * other)


def divide(one: Any, other: Any) -> Any:
    """`$divide`: never an integer."""
    if _absent(one, other):
        return None
    if type(other) in NUMBERS and other == 0:
        raise ServerError(_DIVIDED_BY_ZERO, "can't $divide by zero")
    return _numeric("$divide", (one, other), lambda one, other: one / other)


def modulo(one: Any, other: Any) -> Any:
    """`$mod`: with the sign of the first operand."""
    if _absent(one, other):
        return None
    return _numeric("$mod", (one, other), _remainder)


def _remainder(one: Any, other: Any) -> Any:
    if isinstance(one, float) or isinstance(other, float):
        return math.fmod(one, other)
    rest = abs(one) % abs(other)
    return -rest if one < 0 else rest


def absolute(value: Any) -> Any:
    """`$abs`."""
    if _absent(value):
        return None
    return _numeric("$abs", (value, 0), lambda one, _other: abs(one))


def to_date(value: Any) -> Any:
    """`$toDate`."""
    if _absent(value) or type(value) is datetime:
        return None if _absent(value) else value
    if type(value) is Timestamp:
        return value.as_datetime()
    if type(value) not in NUMBERS or type(value) is Decimal128:
        raise _refused("$toDate", value)
    return later(_EPOCH, value)


def to_long(value: Any) -> Any:
    """`$toLong`."""
    if _absent(value):
        return None
    if type(value) is datetime:
        return ms_since_epoch(value)
    if type(value) not in NUMBERS and type(value) is not bool:
        raise _refused("$toLong", value)
    return int(_decimal(value))


def second(value: Any) -> Any:
    """`$tsSecond`."""
    if _absent(value):
        return None
    if type(value) is not Timestamp:
        raise _refused("$tsSecond", value)
    return value.time


def total(values: Iterable[Any]) -> Any:
    """`$sum` of a group: what is no number counts nothing."""
    numbers = [value for value in values if type(value) in NUMBERS]
    if all(isinstance(number, int) for number in numbers):
        return sum(numbers)
    if any(type(number) is Decimal128 for number in numbers):
        return _numeric("$sum", (0, *numbers), lambda one, other: one + other)
    return math.fsum(numbers)
