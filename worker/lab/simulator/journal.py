"""The journal of all taken SMS, with counts of all requests. Tests take it as the truth.

Rules: an entry is written before its request is answered. With a file, each entry is one line in
one write to the operating system, so that it survives SIGKILL of the process. An existing file is
continued. Only taken SMS are in it.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from worker.lab.simulator.wire import Sms

KEY_PATTERN: Final = r"#([\w.:-]+)"
"""Finds the key in a text: `Your code is 1234 #m-17` has the key `m-17`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One taken SMS."""

    seq: int
    """1, 2, 3, ..."""
    at: str
    """ISO 8601, UTC."""
    monotonic: float
    """Seconds of the machine's monotonic clock, comparable between processes of one boot."""
    provider: str
    dialect: str
    id: str
    """The id given to the customer. With Kannel the customer does not get it."""
    to: str
    sender: str | None
    """`from` in JSON."""
    text: str
    parts: int
    reference: str | None
    report_url: str | None
    key: str | None
    """The key of a message, by which repeats are found: the first `#word`, else the reference."""

    def as_json(self) -> dict[str, Any]:
        """The entry as it is written and served."""
        return {
            "from" if name == "sender" else name: getattr(self, name) for name in self.__slots__
        }


def _read(line: bytes) -> Entry:
    fields = json.loads(line)
    fields["sender"] = fields.pop("from")
    return Entry(**fields)


class Journal:
    """Entries in memory, and also in a file if one is named.

    Args:
        provider: the provider of the journal.
        path: file with JSON lines, continued if it exists.
        key_pattern: regular expression whose first group in a text is the entry's key.
    """

    def __init__(
        self, provider: str, path: Path | None = None, key_pattern: str = KEY_PATTERN
    ) -> None:
        self.entries: list[Entry] = []
        self._provider = provider
        self._path = path
        self._key = re.compile(key_pattern)
        self._keys: Counter[str] = Counter()
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Read the existing file and prepare to append. Called once."""
        if self._path is None or self._file is not None:
            return
        if self._path.exists() and not self.entries:
            for line in self._path.read_bytes().splitlines():
                self._keep(_read(line))
        self._file = self._path.open("ab", buffering=0)

    def close(self) -> None:
        """Close the file. Idempotent; the entries stay."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def note(self, sms: Sms, *, dialect: str, given_id: str, parts: int) -> Entry:
        """Add a taken SMS; returns when the operating system has it."""
        match = self._key.search(sms.text)
        entry = Entry(
            seq=len(self.entries) + 1,
            at=datetime.now(UTC).isoformat(timespec="microseconds"),
            monotonic=time.monotonic(),
            provider=self._provider,
            dialect=dialect,
            id=given_id,
            to=sms.to,
            sender=sms.sender,
            text=sms.text,
            parts=parts,
            reference=sms.reference,
            report_url=sms.report_url,
            key=match[1] if match else sms.reference,
        )
        if self._file is not None:
            line = json.dumps(entry.as_json(), separators=(",", ":"))
            self._file.write(line.encode() + b"\n")
        self._keep(entry)
        return entry

    def _keep(self, entry: Entry) -> None:
        self.entries.append(entry)
        if entry.key is not None:
            self._keys[entry.key] += 1

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def since(self, seq: int, limit: int) -> Sequence[Entry]:
        """At most `limit` entries after number `seq`."""
        return self.entries[seq : seq + limit]

    def times(self, key: str) -> int:
        """How often an SMS with this key was taken."""
        return self._keys[key]

    def summary(self) -> dict[str, Any]:
        """Counts: `taken`, distinct `keys`, entries `without_key`, and `duplicates` by key."""
        return {
            "provider": self._provider,
            "taken": len(self.entries),
            "keys": len(self._keys),
            "without_key": len(self.entries) - self._keys.total(),
            "duplicates": {key: count for key, count in self._keys.items() if count > 1},
        }


@dataclass(slots=True)
class Requests:
    """Counts of all requests to send an SMS, taken or not."""

    connections: int = 0
    closed_unread: int = 0
    """Number of connections that were closed without reading."""
    kept_alive: int = 0
    """Number of requests that were not the first on their connection."""
    paths: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    """Requests by HTTP status, or by the act instead of an answer."""
    sms: Counter[str] = field(default_factory=Counter)
    """Counts of `taken` and `not_taken`. An unreadable request counts as neither."""

    def summary(self) -> dict[str, Any]:
        """As served."""
        return {
            "total": self.paths.total(),
            "connections": self.connections,
            "closed_unread": self.closed_unread,
            "kept_alive": self.kept_alive,
            "paths": dict(self.paths),
            "answers": dict(self.answers),
            "sms": dict(self.sms),
        }
