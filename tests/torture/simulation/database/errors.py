"""What the simulated server answers instead of a result."""

from __future__ import annotations

from typing import Any, Final

DUPLICATE_KEY: Final = 11000
BAD_VALUE: Final = 2
TYPE_MISMATCH: Final = 14


class ServerError(Exception):
    """The server refuses an operation, with MongoDB's code."""

    def __init__(self, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.more = more

    def details(self) -> dict[str, Any]:
        """The answer as the driver gets it."""
        return {"ok": 0.0, "code": self.code, "errmsg": self.message, **self.more}


class NotPrimary(Exception):  # noqa: N818 - a state of the server
    """The primary changed while the operation was under way: its result is not known."""
