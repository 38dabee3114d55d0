"""Stages of aggregation pipelines, projections and sorting.

Rules:
- A stage makes new documents and changes none.
- Documents of equal rank keep their order. Groups come in the order of their first document.
- A stage or option that is not known here raises `NotImplementedError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation.database import arithmetic, expressions
from tests.torture.simulation.database.filters import matching
from tests.torture.simulation.database.paths import Path, found, path, put
from tests.torture.simulation.database.values import MISSING, order_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from tests.torture.simulation.database.expressions import Expression
    from tests.torture.simulation.database.values import Document

    Documents = Iterable[Document]
    Stage = Callable[[Any, Documents, datetime], Documents]


def run(pipeline: Sequence[Document], documents: Documents, now: datetime) -> list[Document]:
    """The documents that a pipeline makes of others."""
    for stage in pipeline:
        ((name, operand),) = stage.items()
        if name not in _STAGES:
            raise NotImplementedError(f"the stage {name}")
        documents = _STAGES[name](operand, documents, now)
    return list(documents)


def replaced(document: Document, pipeline: Sequence[Document], now: datetime) -> Document:
    """A document after an update by a pipeline."""
    for stage in pipeline:
        ((name, operand),) = stage.items()
        if name not in {"$set", "$addFields"}:
            raise NotImplementedError(f"the stage {name} in an update")
        if "_id" in operand:
            raise NotImplementedError("an update of _id")
        (document,) = _add_fields(operand, [document], now)
    return document


def _match(operand: Any, documents: Documents, now: datetime) -> Documents:
    return filter(matching(operand, now), documents)


def _add_fields(operand: Any, documents: Documents, now: datetime) -> Documents:
    added = [(path(dotted), value) for dotted, value in _flat(operand)]
    return (_with(document, document, added, now) for document in documents)


def _with(
    document: Document,
    kept: Document,
    added: Sequence[tuple[Path, Expression]],
    now: datetime,
) -> Document:
    """What is kept of a document, and what is computed from the whole of it."""
    fresh = dict(kept)
    for where, value in added:
        put(fresh, where, value(document, now))
    return fresh


def _flat(spec: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Fields and expressions; the fields of an embedded document are added one by one."""
    for name, each in spec.items():
        embedded = type(each) is dict and not any(key.startswith("$") for key in each)
        if embedded and each:
            yield from _flat(each, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", expressions.remembered(each)


def _sort(operand: Any, documents: Documents, _now: datetime) -> Documents:
    return ordered(documents, list(operand.items()))


def ordered(documents: Documents, keys: Sequence[tuple[str, int]]) -> list[Document]:
    """Documents in an order; an absent field sorts as null."""
    result = list(documents)
    for dotted, direction in reversed(keys):
        parts = path(dotted).parts
        result.sort(key=lambda each: _sort_key(each, parts), reverse=direction < 0)
    return result


def _sort_key(document: Document, parts: tuple[str, ...]) -> Any:
    value = found(document, parts)
    if type(value) is list:
        raise NotImplementedError("sorting by an array")
    return order_key(None if value is MISSING else value)


def _limit(operand: int, documents: Documents, _now: datetime) -> Documents:
    return list(documents)[:operand]


def _skip(operand: int, documents: Documents, _now: datetime) -> Documents:
    return list(documents)[operand:]


def _unwind(operand: Any, documents: Documents, _now: datetime) -> Documents:
    if type(operand) is not str:
        raise NotImplementedError("$unwind with options")
    where = path(operand.removeprefix("$"))
    for document in documents:
        value = found(document, where.parts)
        if value is MISSING or value is None:
            continue
        for each in value if type(value) is list else [value]:
            fresh = dict(document)
            put(fresh, where, each)
            yield fresh


def _group(operand: Mapping[str, Any], documents: Documents, now: datetime) -> Documents:
    by = expressions.compiled(operand["_id"])
    members: dict[Any, tuple[Any, list[Document]]] = {}
    for document in documents:
        value = by(document, now)
        ident = None if value is MISSING else value
        members.setdefault(order_key(ident), (ident, []))[1].append(document)
    sums = [(name, *_accumulator(each)) for name, each in operand.items() if name != "_id"]
    for ident, group in members.values():
        computed = {name: total([of(each, now) for each in group]) for name, total, of in sums}
        yield {"_id": ident, **computed}


def _accumulator(spec: Mapping[str, Any]) -> tuple[Callable[[list[Any]], Any], Any]:
    ((name, operand),) = spec.items()
    if name not in _ACCUMULATORS:
        raise NotImplementedError(f"the accumulator {name}")
    return _ACCUMULATORS[name], expressions.compiled(operand)


def _least(values: list[Any]) -> Any:
    return min(_present(values), key=order_key, default=None)


def _greatest(values: list[Any]) -> Any:
    return max(_present(values), key=order_key, default=None)


def _present(values: list[Any]) -> Iterable[Any]:
    return (value for value in values if value is not None and value is not MISSING)


_ACCUMULATORS: Final[Mapping[str, Callable[[list[Any]], Any]]] = {
    "$max": _greatest,
    "$min": _least,
    "$sum": arithmetic.total,
}


def _project(operand: Mapping[str, Any], documents: Documents, now: datetime) -> Documents:
    """Included fields keep the order of the document; computed ones follow."""
    if not any(map(_is_included, operand.values())):
        return (_without(document, list(operand)) for document in documents)
    if any(not _is_included(each) for name, each in operand.items() if name != "_id"):
        raise NotImplementedError("a projection that includes and excludes")
    included = [name for name, each in operand.items() if each in (1, True)]
    if "_id" not in operand:
        included.append("_id")
    computed = {name: each for name, each in operand.items() if type(each) in {dict, str}}
    added = [(path(dotted), value) for dotted, value in _flat(computed)]
    kept = [path(name).parts for name in included]
    return (_with(document, _only(document, kept), added, now) for document in documents)


def projected(documents: Documents, projection: Mapping[str, Any], now: datetime) -> Documents:
    """Documents of a `find`, reduced to the fields it asks for."""
    return _project(projection, documents, now) if projection else documents


def _is_included(spec: Any) -> bool:
    return spec not in (0, False)


def _only(document: Document, kept: Sequence[tuple[str, ...]]) -> Document:
    """The parts of a document at some paths."""
    result: Document = {}
    for name, value in document.items():
        inner = [parts[1:] for parts in kept if parts[0] == name]
        if () in inner:
            result[name] = value
        elif inner and type(value) is dict:
            result[name] = _only(value, inner)
        elif inner and type(value) is list:
            raise NotImplementedError("a projection into an array")
    return result


def _without(document: Document, names: Sequence[str]) -> Document:
    if any("." in name for name in names):
        raise NotImplementedError("excluding a part of a field")
    return {name: value for name, value in document.items() if name not in names}


_STAGES: Final[Mapping[str, Stage]] = {
    "$addFields": _add_fields,
    "$group": _group,
    "$limit": _limit,
    "$match": _match,
    "$project": _project,
    "$set": _add_fields,
    "$skip": _skip,
    "$sort": _sort,
    "$unwind": _unwind,
}
