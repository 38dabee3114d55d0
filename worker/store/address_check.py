"""What the driver says of the address of a database, before anything connects.

Rules: the driver itself reads the address, as it will at the start, and connects to nothing. It
only warns of an option it does not know or whose value it cannot use, and goes on without it; here
that is a problem. Its texts may quote the address, so parts of it are hidden in them.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Final

from pymongo import MongoClient
from pymongo.errors import (
    ConfigurationError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from worker.settings.addresses import pairs, split
from worker.settings.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGIN_REFUSED: Final = (18, 8000)
"""AuthenticationFailed; the second is what hosted databases say."""
_NO_RIGHT: Final = 13
"""Unauthorized."""
_ADVICE: Final = re.compile(r" or maybe a camelCase.*|[.?] Refer to .*|, use urllib.*")
_SAID: Final = (
    "Connection refused",
    "Name or service not known",
    "certificate verify failed",
    "No replica set members match selector",
    "timed out",
)


def problems(address: str) -> list[str]:
    """What is wrong with an address that reads well otherwise (`addresses.mongo_problems`)."""
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
    """What the driver says, on one line, without its advice for programmers."""
    return _ADVICE.split(" ".join(str(said).split()))[0]


def why(error: Exception) -> str:
    """Why the database cannot be used, in words for whoever set its address; total."""
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


def _servers(error: ServerSelectionTimeoutError) -> str:
    """The commonest reasons, which the driver only tells in the middle of a text."""
    said = str(error)
    found = [words for words in _SAID if words.lower() in said.lower()]
    return f": {', '.join(found)}" if found else ""
