"""Errors of the database driver, turned into ours in one place.

Rules: callers of a store know `StoreUnavailable` and no error of the driver. It names the class of
that error alone: the text of some echoes whole documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymongo.errors import PyMongoError

from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from types import TracebackType


class _ErrorsAsUnavailable:
    """A context without state: one object serves every caller, and costs next to nothing."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, PyMongoError):
            raise StoreUnavailable(type(error).__name__) from error


errors_as_unavailable: Final = _ErrorsAsUnavailable()
"""`with errors_as_unavailable:` raises `StoreUnavailable` where the driver raises inside."""
