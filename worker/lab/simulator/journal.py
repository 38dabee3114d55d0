"""The journal: every SMS taken, and the counts of every request. Ground truth for tests.

Rules: an entry is written before its request is answered. With a file, each entry is one line in
one write to the operating system, so it survives the death of the process by SIGKILL; a file that
exists is continued. Nothing that was not taken is ever in it.
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
"""How a text names its own message: `Your code is 1234 #m-17` has the key `m-17`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One SMS taken."""

    seq: int
    """1, 2, 3, ..."""
    at: str
    """ISO 8601, UTC."""
    monotonic: float
    """Seconds of the machine's monotonic clock, comparable between processes of one boot."""
    provider: str
    dialect: str
    id: str
    """The id given to the customer (Kannel: ours alone)."""
    to: str
    sender: str | None
    """`from` in JSON."""
    text: str
    parts: int
    reference: str | None
    report_url: str | None
    key: str | None
    """What recognises a message sent twice: the first `#word` of the text, else the reference."""

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
    """Entries in memory, and in a file where one is named.

    Args:
        provider: whose journal it is.
        path: JSON lines, continued if it exists.
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
        """Read what the file holds already, and make ready to append. Once."""
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
        """Write down an SMS that is taken; returns when the operating system has it."""
        found = self._key.search(sms.text)
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
            key=found[1] if found else sms.reference,
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
    """Counts of everything that asked for an SMS to be sent, taken or not."""

    connections: int = 0
    closed_unread: int = 0
    """Connections closed before anything was read."""
    kept_alive: int = 0
    """Requests that were not the first on their connection."""
    paths: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    """By HTTP status, or by what was done instead of answering."""
    sms: Counter[str] = field(default_factory=Counter)
    """`taken` and `not_taken`; a request that was not understood counts as neither."""

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
