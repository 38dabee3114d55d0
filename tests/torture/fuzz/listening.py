"""What the code under test logs while a check runs, by structlog and by the standard library."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


@contextmanager
def heard() -> Iterator[list[str]]:
    """All lines logged meanwhile, as texts."""
    lines: list[str] = []

    def note(_logger: Any, _method: str, event: Any) -> Any:
        lines.append(repr(event))
        raise structlog.DropEvent

    before, root, handler = structlog.get_config(), logging.getLogger(), _Lines(lines)
    level = root.level
    structlog.configure(processors=[note], cache_logger_on_first_use=False)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        structlog.configure(**before)
