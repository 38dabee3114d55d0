"""`python -m worker.web.probe`: whether the process of this container is alive, as an exit code.

Rules: standard library only, because a container is asked every few seconds and `sms-worker` takes
a second to import. It asks `/live`, which a broker or a database that is away does not change: a
restart would repair neither.
"""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_WITHIN_S: Final = 4.0
_SERVERS: Final = ("SMS_PRIVATE", "SMS_WEBHOOK", "SMS_CONSOLE_PRIVATE")
"""A worker and a console answer on their private port, a webhook on its public one."""


def is_alive(environment: Mapping[str, str]) -> bool:
    """Whether a server that these settings name answers `GET /live` with 200."""
    return any(
        _answers(environment.get(f"{name}_HOST", "127.0.0.1"), environment[f"{name}_PORT"])
        for name in _SERVERS
        if f"{name}_PORT" in environment
    )


def _answers(host: str, port: str) -> bool:
    connection = HTTPConnection(host, int(port), timeout=_WITHIN_S)
    try:
        connection.request("GET", "/live")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not is_alive(os.environ))
