"""Checks the address of a database with the driver, without a connection.

Rules: the driver reads the address as it does at the start, but does not connect. It only warns of
an unknown option or an unusable value and then ignores the option. Here such a warning is a
problem. The driver's texts may quote the address, so its secret parts are hidden.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Final

from pymongo import MongoClient
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from worker.settings.addresses import pairs, split
from worker.settings.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGIN_REFUSED: Final = (18, 8000)
"""The codes of AuthenticationFailed. Hosted databases use the second one."""
_NO_RIGHT: Final = 13
"""Unauthorized."""
_UNTRUSTED: Final = "certificate verify failed"
_ADVICE: Final = re.compile(r" or maybe a camelCase.*|[.?] Refer to .*|, use urllib.*")
_SAID: Final = (
    "Connection refused",
    "Name or service not known",
    _UNTRUSTED,
    "No replica set members match selector",
    "timed out",
)


def problems(address: str) -> list[str]:
    """The driver's problems with an address that passed `addresses.mongo_problems`."""
    parts = split(address.partition("://")[2])
    options = pairs(parts.query)
    if any(not value for _, value in options):
        return ["expected a value for every option: name=value"]
    hidden = Redactor([parts.login or "", *_words(parts.login or ""), *dict(options).values()])
    return [hidden.parts(text) for text in _objections(address)]


def _objections(address: str) -> Iterator[str]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            MongoClient(address, connect=False).close()
        except FileNotFoundError:
            yield "expected the file of a TLS option to exist"
        except (PyMongoError, ValueError, TypeError, OSError) as error:
            yield _sentence(error)
    yield from (_sentence(each.message) for each in told)


def _words(login: str) -> list[str]:
    return login.split(":", 1)


def _sentence(said: object) -> str:
    """The driver's text in one line, without its advice for programmers."""
    return _ADVICE.split(" ".join(str(said).split()))[0]


def why(error: Exception) -> str:
    """Why the database cannot be used, in words for the person who set its address."""
    match error:
        case OperationFailure(code=code) if code in _LOGIN_REFUSED:
            return "it refuses the login (password percent-encoded? authSource right?)"
        case OperationFailure(code=code) if code == _NO_RIGHT:
            return "its login may not use the database that SMS_MONGO_DATABASE names"
        case OperationFailure(code=code):
            return f"it refuses a command (code {code})"
        case ServerSelectionTimeoutError():
            return f"no primary answers in time{_servers(error)}"
        case ConfigurationError():
            return "its SRV record cannot be resolved, or holds options that do not fit"
        case other:
            return f"no connection ({type(other).__name__})"


def passes(error: Exception) -> bool:
    """Whether the reason may pass by itself."""
    if isinstance(error, ConnectionFailure):
        return _UNTRUSTED not in str(error).lower()
    return isinstance(error, PyMongoError) and error.timeout


def _servers(error: ServerSelectionTimeoutError) -> str:
    """The most common reasons, which the driver names in the middle of a text."""
    said = str(error)
    reasons = [words for words in _SAID if words.lower() in said.lower()]
    return f": {', '.join(reasons)}" if reasons else ""
