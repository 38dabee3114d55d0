"""Random operations on random documents, with the filters and updates that the stores use.

Rules: what is drawn depends on the seed alone. The server may refuse an operation, for instance
because a field has the wrong type. None needs what no store needs: updates inside arrays, sorting
by an array, conversions from text.
"""

from __future__ import annotations

from typing import Any, Final

from pymongo import ReplaceOne, UpdateOne

from tests.integration.random_documents import DATES, FIELDS, LISTS, NUMBERS, Document, Documents

Operation = tuple[str, tuple[Any, ...], dict[str, Any]]
"""Name of a collection's method, and its arguments."""

IDS: Final = [f"m-{n}" for n in range(12)]
_READ_ONLY: Final = ("unconfirmed.0", "wishes.stopped", "wishes.0.sender", "absent", "epoch.deep")
_ORDER: Final = ("$lt", "$lte", "$gt", "$gte")


class Draw(Documents):
    """Draws documents and operations on them."""

    def _path(self) -> str:
        return self.random.choice([*FIELDS, *_READ_ONLY, *LISTS])

    # --- filters and expressions ------------------------------------------------------------------

    def filter(self) -> Document:
        """A filter of one to three conditions."""
        query: Document = {}
        if self.one_in(2):
            query["_id"] = self.random.choice(
                [IDS[0], IDS[1], {"$in": IDS[:5]}, {"$gt": IDS[3]}, {"$in": []}, "nobody"]
            )
        for _ in range(self.random.randrange(1, 3)):
            path = self._path()
            query[path] = self._condition(path)
        if self.one_in(6):
            query["$or"] = [{path: self._condition(path)} for path in (self._path(), "state")]
        if self.one_in(6):
            query["$expr"] = self.condition()
        return query

    def _condition(self, path: str) -> Any:
        value = self.value(path)
        match self.random.randrange(7):
            case 0:
                return {"$in": [value, self.value(path), None]}
            case 1:
                return {"$ne": value}
            case 2:
                return {"$exists": self.one_in(2)}
            case 3 | 4:
                comparable = 1 if value is None else value
                bound = {self.random.choice(_ORDER): comparable}
                return {"$not": bound} if self.one_in(4) else bound
        return value

    def condition(self) -> Any:
        """An expression that is true or false."""
        match self.random.randrange(6):
            case 0:
                return {"$not": [self.condition()]}
            case 1:
                return {"$or": [self.condition(), f"${self._path()}"]}
            case 2:
                return {"$and": [self.condition(), self.condition()]}
            case 3:
                seconds = {"$multiply": [{"$toLong": {"$tsSecond": "$claimedAt"}}, 1000]}
                return {"$lt": [{"$add": [{"$toDate": seconds}, self._number()]}, "$$NOW"]}
        compare = self.random.choice([*_ORDER, "$eq", "$ne"])
        pairs = [(self._number(), self._number()), (self._date(), self._date())]
        paths = (f"${self._path()}", f"${self._path()}")
        return {compare: list(self.random.choice([*pairs, paths]))}

    def _number(self) -> Any:
        path = f"${self.random.choice(NUMBERS)}"
        match self.random.randrange(6):
            case 0:
                return {"$subtract": [self._date(), self._date()]}
            case 1:
                return {"$mod": [path, 4]}
            case 2:
                return {"$abs": path}
            case 3:
                operator = self.random.choice(["$add", "$multiply"])
                return {operator: [path, self.random.choice([2, 0.5]), "$counts.cost"]}
            case 4:
                return {"$divide": [path, 4]}
        return path

    def _date(self) -> Any:
        path = f"${self.random.choice(DATES)}"
        operator = self.random.choice(["$add", "$subtract"])
        return self.random.choice([path, path, {operator: [path, 86_400_000]}])

    # --- writes -----------------------------------------------------------------------------------

    def write(self) -> Operation:
        """A write to some documents."""
        match self.random.randrange(8):
            case 0:
                return "insert_many", ([self.document(self._ident())],), {"ordered": False}
            case 1:
                return "update_many", (self.filter(), self._changes()), {}
            case 2:
                sort = [("epoch", -1), ("_id", 1)]
                return "find_one_and_update", (self._by_id(), self._changes()), {"sort": sort}
            case 3:
                requests = [self._request() for _ in range(4)]
                return "bulk_write", (requests,), {"ordered": self.one_in(2)}
            case 4:
                return "delete_one", ({"_id": self._ident()},), {}
        return "update_one", (self._by_id(), self._changes()), {"upsert": self.one_in(3)}

    def _ident(self) -> str:
        return self.random.choice(IDS)

    def _by_id(self) -> Document:
        """A filter that can begin an upsert."""
        path = self.random.choice(list(FIELDS))
        more = {path: self.random.choice([self.value(path), {"$ne": self.value(path)}])}
        return {"_id": self._ident()} | (more if self.one_in(2) else {})

    def _request(self) -> UpdateOne | ReplaceOne[Any]:
        ident = self._ident()
        if self.one_in(3):
            return ReplaceOne({"_id": ident}, self.document(ident), upsert=self.one_in(2))
        return UpdateOne(self._by_id(), self._changes(), upsert=self.one_in(4))

    def _changes(self) -> Any:
        return self._by_pipeline() if self.one_in(4) else self._by_operators()

    def _by_pipeline(self) -> list[Document]:
        told = {"kind": "new", "at": "$$NOW", "by": {"$literal": "$x"}}
        values = [
            {"told": told},
            {"expireAt": {"$add": ["$at", 1_000]}},
            {"claims": {"$add": ["$epoch", 1]}, "seen": {"$literal": {}}},
            {"written": {"rev": self._number(), "at": "$$NOW"}},
        ]
        return [{"$set": self.random.choice(values)}]

    def _by_operators(self) -> Document:
        paths = self.random.sample(list(FIELDS), 6)
        attempts = ["attempts.10.ended", "attempts.x", "attempts.2.ended"]
        changed = attempts if self.one_in(4) else paths[:2]
        update: Document = {"$set": {path: self.value(path) for path in changed}}
        choices: list[Document] = [
            {"$unset": {paths[2]: ""}},
            {"$inc": {self.random.choice([*NUMBERS, "new.count", "told"]): self._step()}},
            {self.random.choice(["$min", "$max"]): {paths[4]: self.value(paths[4])}},
            {"$setOnInsert": {paths[5]: self.value(paths[5]), "new": 1}},
            {"$push": {self._list(): {"$each": self.words()}}},
            {"$push": {self._list(): "d"}},
            {"$addToSet": {self._list(): self.random.choice(["a", "b", {"c": 1}])}},
            {"$pullAll": {self._list(): self.words()}},
            {"$currentDate": {"changedAt": True, "stampedAt": {"$type": "timestamp"}}},
        ]
        for choice in self.random.sample(choices, 3):
            update |= choice
        return update

    def _step(self) -> float:
        return self.random.choice([0, 1, 2.5])

    def _list(self) -> str:
        return self.random.choice([*LISTS, *LISTS, "lists.new", "state"])

    # --- reads ------------------------------------------------------------------------------------

    def pipeline(self) -> list[Document]:
        """A pipeline whose result has an order, but for groups."""
        order = {"epoch": self.random.choice([1, -1]), "_id": 1}
        stages: list[Document] = [{"$match": self.filter()}] if self.one_in(1.5) else []
        stages += [{"$sort": order}, {"$limit": self.random.randrange(2, 9)}]
        stages.append({"$addFields": {"alive": self.condition(), "by.age": self._number()}})
        project = {"state": 1, "to.hash": 1, "counts": {"$objectToArray": "$counts"}}
        match self.random.randrange(4):
            case 0:
                sums = {"sum": {"$sum": "$counts.v"}, "of": {"$sum": 1}}
                by = {"state": "$state", "name": "$counts.k"}
                group = {"$group": {"_id": by, **sums}}
                stages += [{"$project": project}, {"$unwind": "$counts"}, group]
            case 1:
                least = {"oldest": {"$min": "$at"}, "last": {"$max": "$epoch"}}
                day = {"$subtract": ["$at", {"$mod": [{"$toLong": "$at"}, 1_000]}]}
                stages.append({"$group": {"_id": self.random.choice([None, day]), **least}})
            case 2:
                stages.append({"$project": project | {"_id": 0}})
        return stages
