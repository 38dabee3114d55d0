"""Turns errors of the database driver into ours, in one place.

Rules: callers of a store only know `StoreUnavailable` and no error of the driver. It names only the
class of the driver's error, because the text may quote whole documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymongo.errors import PyMongoError

from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from types import TracebackType


class _ErrorsAsUnavailable:
    """A context without state. All callers share one object, which costs almost nothing."""

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
"""`with errors_as_unavailable:` turns errors of the driver into `StoreUnavailable`."""
