"""Structured logs: one JSON object a line.

Rules: what identifies a person or opens a door never reaches a line: fields that hold a number are
masked, fields that hold text or credentials are dropped, addresses lose their password, and what
libraries say in free text is treated as if it held all three. No configured credential reaches a
line in any form: it is hidden in every value, and in what libraries say every longer part of it too
(`settings.redaction`). Warnings, and exceptions that nobody caught, are lines like every other.
Exceptions carry types, messages and frames, never local variables. Importing this configures
nothing; `configure` is called once, by the composition root.

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

from worker.domain.messages.phone import mask
from worker.settings.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

DROPPED: Final = frozenset(
    {"text", "body", "secret", "token", "password", "api_key", "apikey", "authorization"}
)
"""Fields that are left out, at any depth."""

MASKED: Final = frozenset({"to", "number", "recipient", "msisdn"})
"""Fields that hold a number, at any depth; so does every field that begins with `phone`."""

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
"""Libraries whose debug lines print frames, addresses or documents: never below warning."""

FREE_TEXT: Final = frozenset({"exception", "error", "reason", "problem"})
"""Fields that may quote what a library said."""

_NUMBER: Final = re.compile(r"(?<![\w.+-])\+?\d[\d ()-]{7,18}\d(?![\w.-])")
_PASSWORD: Final = re.compile(r"(://[^/?#\s:@]*):[^/?#\s]*@")
_SPACING: Final = re.compile(r"[^\d+]")
_DEPTH: Final = 8


def configure(
    level: str, replica: str, stream: BinaryIO | None = None, *, secrets: Iterable[str] = ()
) -> None:
    """Send every line, ours and the libraries', to `stream` as JSON.

    Args:
        level: `debug`, `info`, `warning` or `error`; libraries are never below warning.
        replica: id of this process, on every line.
        stream: where lines go; standard output by default.
        secrets: every credential of this process.
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
    """Clean free text of others: passwords in addresses, and whatever looks like a number."""
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
    """Mask a number, or a list of them; what is masked already stays readable."""
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
    """Clean a rendered exception: its messages are other people's free text."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, dict):
        return {key: _scrub(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrub(item, depth + 1) for item in value]
    return value


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """The same value, every text in it changed."""
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
    """Log what nobody caught; an interrupt from the keyboard needs no line."""
    if not issubclass(kind, KeyboardInterrupt):
        structlog.get_logger(__name__).critical("not caught", exc_info=(kind, error, trace))


def _uncaught_in_thread(raised: threading.ExceptHookArgs) -> None:
    if raised.exc_value is not None:
        _uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)


class _Bridge(logging.Handler):
    """Hands records of the standard library's loggers to structlog."""

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
        except Exception:  # noqa: BLE001 - a line that cannot be written must break nobody
            self.handleError(record)
