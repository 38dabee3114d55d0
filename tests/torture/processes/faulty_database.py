"""The database's driver with fault points: motor's API as far as our stores use it.

Rules: the calls of the registry have points. Whatever else is done with a collection that belongs
to lives alone raises: the registry lacks it. A read has its points where it is awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import AutoReconnect

from tests.torture.points import BY_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from tests.torture.processes.faults import Faults

_READS: Final = frozenset({"aggregate", "find"})
_PLAIN: Final = frozenset({"create_indexes", "create_index", "index_information"})
"""Calls of the start, before any life begins."""
_OF_LIVES: Final = frozenset({"messages", "reports", "suppressions", "control_log"})
"""Collections of which every call belongs to a life; the others have figures and notices too."""


def loss() -> Exception:
    """The driver's error for a connection that was lost."""
    return AutoReconnect("a fault point")


class Client:
    """A client whose databases have fault points. Arguments are those of motor's client."""

    def __init__(self, faults: Faults, *args: Any, **options: Any) -> None:
        self._faults = faults
        self._real = AsyncIOMotorClient(*args, **options)

    def __getitem__(self, name: str) -> _Database:
        return _Database(self._faults, self._real[name])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Database:
    def __init__(self, faults: Faults, real: Any) -> None:
        self._faults = faults
        self._real = real

    def __getitem__(self, name: str) -> Any:
        return _Collection(self._faults, self._real[name])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Collection:
    def __init__(self, faults: Faults, real: Any) -> None:
        self._faults = faults
        self._real = real

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        operation = f"database.{self._real.name}.{name}"
        known = operation in BY_NAME
        if name in _PLAIN or not (known or self._real.name in _OF_LIVES):
            return real
        if name in _READS:
            return lambda *args, **options: _Cursor(self._faults, operation, real(*args, **options))
        return self._write(operation, real)

    def _write(
        self, operation: str, real: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        async def write(*args: Any, **options: Any) -> Any:
            return await self._faults.around(operation, lambda: real(*args, **options), loss)

        return write


class _Cursor:
    """A cursor, read by `to_list` or `async for`."""

    def __init__(self, faults: Faults, operation: str, real: Any) -> None:
        self._faults = faults
        self._operation = operation
        self._real = real

    def sort(self, *args: Any) -> Self:
        self._real.sort(*args)
        return self

    def limit(self, count: int) -> Self:
        self._real.limit(count)
        return self

    async def to_list(self, length: int | None = None) -> Sequence[Any]:
        found: Sequence[Any] = await self._faults.around(
            self._operation, lambda: self._real.to_list(length), loss
        )
        return found

    async def __aiter__(self) -> AsyncIterator[Any]:
        for document in await self.to_list():
            yield document
