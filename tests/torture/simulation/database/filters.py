"""Filters of queries and updates, as predicates.

Rules:
- A condition on a field holds if it holds for one of the values that its path finds. An array is
  also each of its elements, except for `$exists`.
- `<` and its like compare only values of one type; null equals a field that is absent.
- An operator that is not in the tables raises `NotImplementedError`.
"""

from __future__ import annotations

import operator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from bson import Int64, Timestamp

from tests.torture.simulation.database import expressions
from tests.torture.simulation.database.paths import candidates, path
from tests.torture.simulation.database.values import MISSING, order_key, rank, truthy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.torture.simulation.database.values import Document

    Predicate = Callable[[Document], bool]
    Test = Callable[[Any], bool]

_PLAIN: Final = frozenset({str, datetime, bool, Timestamp})
_BINARY: Final = frozenset({int, Int64, float})


def matching(query: Mapping[str, Any], now: datetime) -> Predicate:
    """The predicate of a filter.

    Args:
        query: as it arrived at the server (`values.carried`).
        now: the server's time during this operation.
    """
    return _all([_condition(name, wanted, now) for name, wanted in query.items()])


def _all(conditions: Sequence[Predicate]) -> Predicate:
    if len(conditions) == 1:
        return conditions[0]

    def holds(document: Document) -> bool:
        for condition in conditions:  # a loop, because this is the hottest place  # noqa: SIM110
            if not condition(document):
                return False
        return True

    return holds


def _condition(name: str, wanted: Any, now: datetime) -> Predicate:
    if name.startswith("$"):
        return _of_whole(name, wanted, now)
    parts = path(name).parts
    if type(wanted) is not dict or not has_operators(wanted):
        return _on_field(parts, _equal(wanted))
    return _all([_operator(parts, key, operand) for key, operand in wanted.items()])


def has_operators(wanted: Mapping[str, Any]) -> bool:
    """Whether a document is not a value, but operators with their operands."""
    return next(iter(wanted), "").startswith("$")


def _of_whole(name: str, wanted: Any, now: datetime) -> Predicate:
    if name == "$expr":
        value = expressions.remembered(wanted)
        return lambda document: truthy(value(document, now))
    branches = [matching(each, now) for each in wanted]
    if name == "$and":
        return _all(branches)
    if name == "$or":
        return lambda document: any(branch(document) for branch in branches)
    raise NotImplementedError(f"the filter {name}")


def _operator(parts: tuple[str, ...], name: str, operand: Any) -> Predicate:
    if name in _TESTS:
        return _on_field(parts, _TESTS[name](operand))
    if name in {"$not", "$ne"}:
        inner = _negated(parts, name, operand)
        return lambda document: not inner(document)
    if name == "$exists":
        wanted = truthy(operand)
        return lambda document: _exists(document, parts) is wanted
    raise NotImplementedError(f"the filter operator {name}")


def _negated(parts: tuple[str, ...], name: str, operand: Any) -> Predicate:
    if name == "$ne":
        return _on_field(parts, _equal(operand))
    return _all([_operator(parts, key, each) for key, each in operand.items()])


def _exists(document: Document, parts: tuple[str, ...]) -> bool:
    return any(value is not MISSING for value in candidates(document, parts))


def _on_field(parts: tuple[str, ...], test: Test) -> Predicate:
    def holds(document: Document) -> bool:
        value: Any = document
        for part in parts:
            if type(value) is not dict:
                break
            value = value.get(part, MISSING)
        else:
            return test(value) if type(value) is not list else _in_list(value, test)
        return any(_in_any(value, test) for value in candidates(document, parts))

    return holds


def _in_any(value: Any, test: Test) -> bool:
    return _in_list(value, test) if type(value) is list else test(value)


def _in_list(value: list[Any], test: Test) -> bool:
    return any(map(test, value)) or test(value)


def _equal(operand: Any) -> Test:
    kind = type(operand)
    if operand is None:
        return lambda value: value is None or value is MISSING
    if kind in _PLAIN:
        return lambda value: type(value) is kind and value == operand
    if kind in _BINARY:
        return lambda value: type(value) in _BINARY and value == operand
    key = order_key(operand)
    return lambda value: order_key(value) == key


def _in(operands: list[Any]) -> Test:
    if all(type(operand) is str for operand in operands):
        words = frozenset(operands)
        return lambda value: type(value) is str and value in words
    tests = [_equal(operand) for operand in operands]
    return lambda value: any(test(value) for test in tests)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Test]:
    def build(operand: Any) -> Test:
        kind = type(operand)
        if operand is None:
            raise NotImplementedError("an order of null")
        if kind in _PLAIN:
            return lambda value: type(value) is kind and compare(value, operand)
        wanted, key = rank(operand), order_key(operand)
        return lambda value: rank(value) == wanted and compare(order_key(value), key)

    return build


_TESTS: Final[Mapping[str, Callable[[Any], Test]]] = {
    "$eq": _equal,
    "$in": _in,
    "$lt": _ordered(operator.lt),
    "$lte": _ordered(operator.le),
    "$gt": _ordered(operator.gt),
    "$gte": _ordered(operator.ge),
}
