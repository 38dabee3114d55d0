"""Motor's cursor, as far as `worker.store` uses it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.torture.simulation.database.statements import Aggregate, Find

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.torture.simulation.database.calls import Calls
    from tests.torture.simulation.database.values import Document


class Cursor:
    """Asks once, when it is read."""

    def __init__(self, calls: Calls, name: str, namespace: str, question: Find | Aggregate) -> None:
        self._calls = calls
        self._name = name
        self._namespace = namespace
        self._question = question

    def sort(self, keys: str | Sequence[tuple[str, int]], direction: int = 1) -> Cursor:
        """Sort the documents."""
        order = [(keys, direction)] if isinstance(keys, str) else list(keys)
        return self._asking(order=order)

    def limit(self, count: int) -> Cursor:
        """Return at most this number of documents; 0: all."""
        return self._asking(limit=count)

    def skip(self, count: int) -> Cursor:
        """Leave out the first documents."""
        return self._asking(skip=count)

    def _asking(self, **changes: Any) -> Cursor:
        if not isinstance(self._question, Find):
            raise NotImplementedError("sort, limit and skip of an aggregation")
        self._question = replace(self._question, **changes)
        return self

    async def to_list(self, length: int | None = None) -> list[Document]:
        """The documents, or the first of them."""
        options = self._calls.options
        server = self._calls.server
        documents = await self._calls.ask(
            self._name,
            lambda: server.read(
                self._namespace,
                self._question,
                concern=options.concern,
                secondary=options.secondary,
            ),
        )
        return documents[:length]

    async def __aiter__(self) -> AsyncIterator[Document]:
        """Each document."""
        for document in await self.to_list():
            yield document
