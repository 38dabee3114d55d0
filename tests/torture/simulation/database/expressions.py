"""Expressions of aggregations, of `$expr`, and of updates by a pipeline.

Rules:
- An expression is compiled once into a function of a document and the server's time.
- Values of any types compare by the order of all values; an absent field is less than null.
- An operator or variable that is not known here raises `NotImplementedError`.
"""

from __future__ import annotations

import operator
from datetime import datetime
from functools import lru_cache, partial, reduce
from typing import TYPE_CHECKING, Any, Final

import bson

from tests.torture.simulation.database import arithmetic
from tests.torture.simulation.database.paths import found, path
from tests.torture.simulation.database.values import CODEC, MISSING, order_key, truthy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.torture.simulation.database.values import Document

    Expression = Callable[[Document, datetime], Any]


def remembered(spec: Any) -> Expression:
    """The function of an expression. The same few come again and again, so they are kept."""
    return _compiled_of(bson.encode({"": spec}))


@lru_cache(maxsize=1024)
def _compiled_of(encoded: bytes) -> Expression:
    return compiled(bson.decode(encoded, CODEC)[""])


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
    operands = [compiled(each) for each in (operand if type(operand) is list else [operand])]
    if count is None:
        return lambda document, now: function(each(document, now) for each in operands)
    if len(operands) != count:
        raise NotImplementedError(f"{name} of {len(operands)} operands")
    if count == 1:
        (only,) = operands
        return lambda document, now: function(only(document, now))
    one, other = operands
    return lambda document, now: function(one(document, now), other(document, now))


def _or_null(value: Any) -> Any:
    return None if value is MISSING else value


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def function(one: Any, other: Any) -> bool:
        if type(one) is type(other) is datetime:  # leases, the most frequent by far
            return compare(one, other)
        return compare(order_key(one), order_key(other))

    return function


def _pairs(value: Any) -> Any:
    """`$objectToArray`."""
    if value is None or value is MISSING:
        return None
    return [{"k": name, "v": each} for name, each in value.items()]


_FUNCTIONS: Final[Mapping[str, tuple[Callable[..., Any], int | None]]] = {
    "$abs": (arithmetic.absolute, 1),
    "$add": (partial(reduce, arithmetic.add), None),
    "$and": (lambda values: all(map(truthy, values)), None),
    "$divide": (arithmetic.divide, 2),
    "$eq": (_compared(operator.eq), 2),
    "$gt": (_compared(operator.gt), 2),
    "$gte": (_compared(operator.ge), 2),
    "$lt": (_compared(operator.lt), 2),
    "$lte": (_compared(operator.le), 2),
    "$mod": (arithmetic.modulo, 2),
    "$multiply": (partial(reduce, arithmetic.multiply), None),
    "$ne": (_compared(operator.ne), 2),
    "$not": (lambda value: not truthy(value), 1),
    "$objectToArray": (_pairs, 1),
    "$or": (lambda values: any(map(truthy, values)), None),
    "$subtract": (arithmetic.subtract, 2),
    "$toDate": (arithmetic.to_date, 1),
    "$toLong": (arithmetic.to_long, 1),
    "$tsSecond": (arithmetic.second, 1),
}
"""Functions by name, with their number of operands; None: a function of all operands at once."""
