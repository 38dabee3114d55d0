"""What one replica is: its id in logs, heartbeats, connection names, metrics and traces.

Rules: the id begins with a name that people know (of the pod, of the host) and is new at each
start, as what a process counts begins at 0 with it.
"""

from __future__ import annotations

import re
import secrets
import socket
from importlib import metadata
from typing import TYPE_CHECKING, Final

from worker.domain.migration.replicas import Process

if TYPE_CHECKING:
    from datetime import datetime

_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz"
"""Without `l` and `o`, which people take for digits."""
_ADDED: Final = 8
"""Of so many letters no two starts of a name have the same, be it a crash loop for a year."""
_OTHERS: Final = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME: Final = 63
_PACKAGE: Final = "sms-migration-worker"


def replica_id(name: str | None) -> str:
    """The name, or the host's, and letters by chance; of letters, digits, `-` and `_`."""
    known = _OTHERS.sub("-", name or socket.gethostname())[:_LONGEST_NAME].strip("-") or "worker"
    return f"{known}-{''.join(secrets.choice(_LETTERS) for _ in range(_ADDED))}"


def process_of(started_at: datetime) -> Process:
    """Describe this process; its version is not known where the package is not installed."""
    try:
        software = metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        software = None
    return Process(software, socket.gethostname(), started_at)
