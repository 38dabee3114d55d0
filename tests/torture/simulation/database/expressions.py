"""Expressions of aggregations, of `$expr`, and of updates by a pipeline.

Rules:
- An expression is compiled once into a function of a document and the server's time.
- Values of any types compare by the order of all values; an absent field is less than null.
- An operator or variable that is not known here raises `NotImplementedError`.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation.database import arithmetic
from tests.torture.simulation.database.paths import found, path
from tests.torture.simulation.database.values import MISSING, order_key, truthy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tests.torture.simulation.database.values import Document

    Expression = Callable[[Document, datetime], Any]


def compiled(spec: Any) -> Expression:
    """The function of an expression."""
    if type(spec) is str and spec.startswith("$"):
        return _variable(spec) if spec.startswith("$$") else _field(spec[1:])
    if type(spec) is list:
        items = [compiled(each) for each in spec]
        return lambda document, now: [_or_null(item(document, now)) for item in items]
    if type(spec) is not dict:
        return lambda _document, _now: spec
    names = [name for name in spec if name.startswith("$")]
    if not names:
        return _object(spec)
    (name,) = spec
    return _applied(name, spec[name])


def _variable(name: str) -> Expression:
    if name == "$$NOW":
        return lambda _document, now: now
    raise NotImplementedError(f"the variable {name}")


def _field(dotted: str) -> Expression:
    parts = path(dotted).parts
    if len(parts) == 1:
        name = parts[0]
        return lambda document, _now: document.get(name, MISSING)
    return lambda document, _now: found(document, parts)


def _object(spec: Mapping[str, Any]) -> Expression:
    fields = [(name, compiled(each)) for name, each in spec.items()]

    def build(document: Document, now: datetime) -> Document:
        values = ((name, value(document, now)) for name, value in fields)
        return {name: value for name, value in values if value is not MISSING}

    return build


def _applied(name: str, operand: Any) -> Expression:
    if name == "$literal":
        return lambda _document, _now: operand
    if name not in _FUNCTIONS:
        raise NotImplementedError(f"the expression {name}")
    function, count = _FUNCTIONS[name]
    operands = operand if type(operand) is list else [operand]
    if count is not None and len(operands) != count:
        raise NotImplementedError(f"{name} of {len(operands)} operands")
    return _call(function, [compiled(each) for each in operands])


def _call(function: Callable[..., Any], operands: Sequence[Expression]) -> Expression:
    if len(operands) == 1:
        (only,) = operands
        return lambda document, now: function(only(document, now))
    if len(operands) == 2:
        one, other = operands
        return lambda document, now: function(one(document, now), other(document, now))
    return lambda document, now: function(*(each(document, now) for each in operands))


def _or_null(value: Any) -> Any:
    return None if value is MISSING else value


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda one, other: compare(order_key(one), order_key(other))


def _pairs(value: Any) -> Any:
    """`$objectToArray`."""
    if value is None or value is MISSING:
        return None
    return [{"k": name, "v": each} for name, each in value.items()]


_FUNCTIONS: Final[Mapping[str, tuple[Callable[..., Any], int | None]]] = {
    "$abs": (arithmetic.absolute, 1),
    "$add": (arithmetic.add, None),
    "$and": (lambda *values: all(map(truthy, values)), None),
    "$divide": (arithmetic.divide, 2),
    "$eq": (_compared(operator.eq), 2),
    "$gt": (_compared(operator.gt), 2),
    "$gte": (_compared(operator.ge), 2),
    "$lt": (_compared(operator.lt), 2),
    "$lte": (_compared(operator.le), 2),
    "$mod": (arithmetic.modulo, 2),
    "$multiply": (arithmetic.multiply, None),
    "$ne": (_compared(operator.ne), 2),
    "$not": (lambda value: not truthy(value), 1),
    "$objectToArray": (_pairs, 1),
    "$or": (lambda *values: any(map(truthy, values)), None),
    "$subtract": (arithmetic.subtract, 2),
    "$toDate": (arithmetic.to_date, 1),
    "$toLong": (arithmetic.to_long, 1),
    "$tsSecond": (arithmetic.second, 1),
}
"""Functions by name, with their number of operands."""
