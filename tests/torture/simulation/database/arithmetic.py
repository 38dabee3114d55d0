"""Sums, differences and conversions as expressions compute them.

Rules: null or an absent field among the operands makes the result null. A date moves by
milliseconds. Decimals have 34 digits. Operands of other types are refused as the server refuses
them.
"""

from __future__ import annotations

import math
import operator
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

from bson import Decimal128, Int64, Timestamp
from bson.decimal128 import create_decimal128_context
from bson.tz_util import utc

from tests.torture.simulation.database.errors import TYPE_MISMATCH, ServerError
from tests.torture.simulation.database.values import MISSING, NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_BINARY: Final = frozenset({int, Int64, float})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=utc)
_MS: Final = timedelta(milliseconds=1)
_DIVIDED_BY_ZERO: Final = 2


def _absent(one: Any, other: Any = 0) -> bool:
    return one is None or other is None or one is MISSING or other is MISSING


def _refused(name: str, *values: Any) -> ServerError:
    kinds = ", ".join(type(value).__name__ for value in values)
    return ServerError(TYPE_MISMATCH, f"{name} of {kinds}")


def ms_since_epoch(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - _EPOCH) // _MS


def _later(moment: datetime, ms: Any) -> datetime:
    return moment + round(ms.to_decimal() if type(ms) is Decimal128 else ms) * _MS


def _numeric(name: str, one: Any, other: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine numbers; if one is a decimal, the result is one."""
    if type(one) not in NUMBERS or type(other) not in NUMBERS:
        raise _refused(name, one, other)
    if type(one) is not Decimal128 and type(other) is not Decimal128:
        return combine(one, other)
    with localcontext(create_decimal128_context()):
        return Decimal128(combine(_decimal(one), _decimal(other)))


def _decimal(value: Any) -> Decimal:
    """A number as a decimal; a binary one has 15 digits then."""
    if type(value) is Decimal128:
        return value.to_decimal()
    return Decimal(f"{value:.14e}") if type(value) is float else Decimal(value)


def add(one: Any, other: Any) -> Any:
    """`$add`: numbers, or a number and a date."""
    if _absent(one, other):
        return None
    if type(one) is datetime and type(other) in NUMBERS:
        return _later(one, other)
    if type(other) is datetime and type(one) in NUMBERS:
        return _later(other, one)
    return _numeric("$add", one, other, operator.add)


def subtract(one: Any, other: Any) -> Any:
    """`$subtract`: numbers, a number from a date, or dates, whose difference is in ms."""
    if _absent(one, other):
        return None
    if type(one) is datetime and type(other) is datetime:
        return (one - other) // _MS
    if type(one) is datetime and type(other) in NUMBERS:
        return _later(one, multiply(other, -1))
    return _numeric("$subtract", one, other, operator.sub)


def multiply(one: Any, other: Any) -> Any:
    """`$multiply`."""
    return None if _absent(one, other) else _numeric("$multiply", one, other, operator.mul)


def divide(one: Any, other: Any) -> Any:
    """`$divide`: never an integer."""
    if _absent(one, other):
        return None
    if type(other) in NUMBERS and other == 0:
        raise ServerError(_DIVIDED_BY_ZERO, "can't $divide by zero")
    return _numeric("$divide", one, other, operator.truediv)


def modulo(one: Any, other: Any) -> Any:
    """`$mod`: with the sign of the first operand."""
    if _absent(one, other):
        return None
    return _numeric("$mod", one, other, _remainder)


def _remainder(one: Any, other: Any) -> Any:
    if isinstance(one, float) or isinstance(other, float):
        return math.fmod(one, other)
    rest = abs(one) % abs(other)
    return -rest if one < 0 else rest


def absolute(value: Any) -> Any:
    """`$abs`."""
    if _absent(value):
        return None
    return _numeric("$abs", value, 0, lambda number, _: abs(number))


def to_date(value: Any) -> Any:
    """`$toDate`."""
    if _absent(value) or type(value) is datetime:
        return None if _absent(value) else value
    if type(value) is Timestamp:
        return value.as_datetime()
    if type(value) not in _BINARY:
        raise _refused("$toDate", value)
    return _later(_EPOCH, value)


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
        return reduce(add, numbers)
    return math.fsum(numbers)
