"""Structured logs: one JSON object in each line.

Rules:
- No personal data or credentials reach a line. Fields with a number are masked, fields with text or
  credentials are dropped, and addresses lose their password. Free text of libraries is treated as
  if it had all three.
- A configured credential is hidden in every value, in any form. In texts of libraries every longer
  part of it is hidden too (`settings.redaction`).
- Warnings and uncaught exceptions are lines like all others. Exceptions have types, messages and
  frames, but never local variables.
- Importing this module configures nothing. The composition root calls `configure` once.

Fields on every line: `timestamp` (UTC), `level`, `event`, `replica`; `message_id` and `queue`
inside a message, and `trace_id` where it has a trace (bound with `structlog.contextvars`, which
tasks inherit).
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from worker.domain.messages.masking import mask
from worker.settings.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

DROPPED: Final = frozenset(
    {"text", "body", "secret", "token", "password", "api_key", "apikey", "authorization"}
)
"""Fields that are dropped, at any depth."""

MASKED: Final = frozenset({"to", "number", "recipient", "msisdn"})
"""Fields with a number, at any depth. All fields that begin with `phone` have one too."""

QUIET: Final = (
    "aio_pika",
    "aiormq",
    "asyncio",
    "httpcore",
    "httpx",
    "pymongo",
    "motor",
    "uvicorn",
    "uvicorn.error",
)
"""Libraries whose lines below `warning` show frames, addresses or documents."""

FREE_TEXT: Final = frozenset({"exception", "error", "reason", "problem"})
"""Fields that may quote text of a library."""

_NUMBER: Final = re.compile(r"(?<![\w.+-])\+?\d[\d ()-]{7,18}\d(?![\w.-])")
_PASSWORD: Final = re.compile(r"(://[^/?#\s:@]*):[^/?#\s]*@")
_SPACING: Final = re.compile(r"[^\d+]")
_DEPTH: Final = 8


def configure(
    level: str, replica: str, stream: BinaryIO | None = None, *, secrets: Iterable[str] = ()
) -> None:
    """Write all lines, ours and those of libraries, to `stream` as JSON.

    Args:
        level: `debug`, `info`, `warning` or `error`; libraries are never below warning.
        replica: id of this process, in every line.
        stream: takes the lines; standard output by default.
        secrets: all credentials of this process.
    """
    out = stream or sys.stdout.buffer
    hidden = Redactor(secrets)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=_processors(replica, hidden),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge(structlog.get_logger(), hidden)]
    root.setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    for name in QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _processors(replica: str, hidden: Redactor) -> list[Processor]:
    def bind_replica(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["replica"] = replica
        return event

    def hide(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        free = {name: event.pop(name) for name in FREE_TEXT & event.keys()}
        return {**_each(event, hidden.whole), **_each(free, hidden.parts)}

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        bind_replica,
        structlog.processors.ExceptionRenderer(
            ExceptionDictTransformer(show_locals=False, max_frames=20)
        ),
        protect,
        hide,
        _render,
    ]


def protect(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask, drop and clean the fields of one line (a structlog processor)."""
    exception = event.pop("exception", None)
    clean: dict[str, Any] = _fields(event, 0)
    if exception is not None:
        clean["exception"] = _scrub(exception, 0)
    return clean


def scrub(text: str) -> str:
    """Hide passwords in addresses and all likely phone numbers in free text of libraries."""
    return _NUMBER.sub(lambda found: _mask(found.group()), _PASSWORD.sub(r"\1:***@", text))


def _fields(fields: Any, depth: int) -> dict[str, Any]:
    clean = {}
    for name, value in fields.items():
        key = str(name).lower()
        if key in DROPPED:
            continue
        if key in MASKED or key.startswith("phone"):
            clean[name] = _masked(value)
        else:
            clean[name] = _value(value, depth)
    return clean


def _masked(value: Any) -> Any:
    """Mask a number or a list of numbers. A masked number stays as it is."""
    if value is None or (isinstance(value, str) and "*" in value):
        return value
    if isinstance(value, (list, tuple)):
        return [_masked(item) for item in value]
    return _mask(str(value))


def _mask(number: str) -> str:
    return mask(_SPACING.sub("", number))


def _value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _PASSWORD.sub(r"\1:***@", value) if "://" in value else value
    if isinstance(value, BaseException):
        return scrub(f"{type(value).__name__}: {value}")
    if isinstance(value, dict):
        return _fields(value, depth + 1) if depth < _DEPTH else "..."
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_value(item, depth + 1) for item in value] if depth < _DEPTH else "..."
    return value


def _scrub(value: Any, depth: int) -> Any:
    """Clean a rendered exception, whose messages are free text of libraries."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key: _scrub(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrub(item, depth + 1) for item in value]
    return value


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """Return the value with a function applied to every text in it."""
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_each(item, change) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return change(value if isinstance(value, str) else scrub(str(value)))


def _render(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode(errors="backslashreplace")


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log an uncaught exception, except an interrupt from the keyboard."""
    if not issubclass(kind, KeyboardInterrupt):
        structlog.get_logger(__name__).critical("not caught", exc_info=(kind, error, trace))


def _uncaught_in_thread(raised: threading.ExceptHookArgs) -> None:
    if raised.exc_value is not None:
        _uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)


class _Bridge(logging.Handler):
    """Passes records of standard library loggers to structlog."""

    def __init__(self, log: Any, hidden: Redactor) -> None:
        super().__init__()
        self._log = log
        self._hidden = hidden

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.log(
                record.levelno,
                self._hidden.parts(scrub(record.getMessage())),
                logger=record.name,
                exc_info=record.exc_info,
            )
        except Exception:  # noqa: BLE001 - a line that cannot be written must not break its caller
            self.handleError(record)
