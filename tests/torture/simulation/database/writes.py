"""Carries out one statement on the primary.

Rules: documents are found in the order of their insertion, or of their ids if the filter is about
those. An update of many that is refused at one document has changed those before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.torture.simulation.database import stages
from tests.torture.simulation.database.filters import matching
from tests.torture.simulation.database.indexes import duplicate
from tests.torture.simulation.database.statements import Delete, Insert, Outcome, Replace, Update
from tests.torture.simulation.database.updates import begun, change, checked, stamped
from tests.torture.simulation.database.values import copied, order_key

if TYPE_CHECKING:
    from collections.abc import Mapping, ValuesView
    from datetime import datetime

    from tests.torture.simulation.database.replication import Collection, Replication
    from tests.torture.simulation.database.updates import Moment
    from tests.torture.simulation.database.values import Document

    Statement = Insert | Update | Replace | Delete


def matches(
    query: Mapping[str, Any], documents: Mapping[Any, Document], now: datetime
) -> list[Document]:
    """The documents that match a filter."""
    candidates, others = _candidates(query, documents)
    if not candidates or not others:
        return list(candidates)
    return list(filter(matching(others, now), candidates))


def _candidates(
    query: Mapping[str, Any], documents: Mapping[Any, Document]
) -> tuple[list[Document] | ValuesView[Document], Mapping[str, Any]]:
    """Documents among which those that match are, and what they have yet to match."""
    wanted = query.get("_id")
    if type(wanted) is dict:
        idents = wanted["$in"] if wanted.keys() == {"$in"} else documents
        present = sorted({each for each in idents if each in documents}, key=order_key)
        return [documents[each] for each in present], query
    if type(wanted) is not str:
        return documents.values(), query
    others = {name: each for name, each in query.items() if name != "_id"}
    return [documents[wanted]] if wanted in documents else (), others


def carry_out(
    statement: Statement, collection: Collection, log: Replication, moment: Moment
) -> Outcome:
    """Carry out a statement.

    Raises:
        ServerError: it is refused.
    """
    match statement:
        case Insert():
            return _insert(statement, collection, log, moment)
        case Update():
            return _update(statement, collection, log, moment)
        case Replace():
            return _replace(statement, collection, log, moment)
        case Delete():
            return _delete(statement, collection, log, moment)


def _insert(statement: Insert, collection: Collection, log: Replication, moment: Moment) -> Outcome:
    _add(stamped(checked(statement.document), moment), collection, log)
    return Outcome(inserted=1)


def _add(document: Document, collection: Collection, log: Replication) -> None:
    if document["_id"] in collection.newest:
        raise duplicate(collection.namespace, "_id_", {"_id": document["_id"]})
    collection.indexes.check(document)
    log.write(collection, document["_id"], document)


def _change(before: Document, after: Document, collection: Collection, log: Replication) -> int:
    """Store a changed document; returns how many were changed."""
    if after is before:
        return 0
    collection.indexes.check(after)
    log.write(collection, before["_id"], after)
    return 1


def _update(statement: Update, collection: Collection, log: Replication, moment: Moment) -> Outcome:
    changed = change(statement.update)
    matched = matches(statement.query, collection.newest, moment.now)
    if statement.order:
        matched = stages.ordered(matched, statement.order)
    if not statement.many:
        matched = matched[:1]
    if not matched and statement.upsert:
        fresh = changed(begun(statement.query), moment, inserting=True)
        _add(checked(fresh), collection, log)
        return Outcome(upserted=fresh["_id"])
    modified = 0
    for document in matched:
        modified += _change(document, changed(document, moment), collection, log)
    before = copied(matched[0]) if matched and statement.returned else None
    return Outcome(matched=len(matched), modified=modified, before=before)


def _replace(
    statement: Replace, collection: Collection, log: Replication, moment: Moment
) -> Outcome:
    matched = matches(statement.query, collection.newest, moment.now)[:1]
    fresh = stamped(statement.document, moment)
    if not matched:
        if not statement.upsert:
            return Outcome()
        _add(checked({**begun(statement.query), **fresh}), collection, log)
        return Outcome(upserted=fresh["_id"])
    (before,) = matched
    after = {"_id": before["_id"], **fresh}
    if after["_id"] != before["_id"]:
        raise NotImplementedError("a replacement with another _id")
    same = list(after.items()) == list(before.items())
    modified = _change(before, before if same else after, collection, log)
    return Outcome(matched=1, modified=modified)


def _delete(statement: Delete, collection: Collection, log: Replication, moment: Moment) -> Outcome:
    matched = matches(statement.query, collection.newest, moment.now)
    gone = matched if statement.many else matched[:1]
    for document in gone:
        log.write(collection, document["_id"], None)
    return Outcome(deleted=len(gone))
