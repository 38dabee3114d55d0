"""Reads server-sent events, plain or compressed, as a browser does."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Events:
    """The events that came so far.

    Attributes:
        compressed: whether the bytes are gzip.
        came: name and data of each event.
        sections: the newest HTML of each section.
        retry: after which to come back, milliseconds.
    """

    compressed: bool = False
    came: list[tuple[str, Any]] = field(default_factory=list)
    sections: dict[str, str] = field(default_factory=dict)
    retry: int | None = None

    def __post_init__(self) -> None:
        self._inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take bytes as they come."""
        self._rest += self._inflater.decompress(chunk) if self.compressed else chunk
        *blocks, self._rest = self._rest.split(b"\n\n")
        for block in blocks:
            self._take(dict(line.split(": ", 1) for line in block.decode().splitlines()))

    def names(self) -> list[str]:
        """The names of the events, in their order."""
        return [name for name, _ in self.came]

    def _take(self, fields: dict[str, str]) -> None:
        if "retry" in fields:
            self.retry = int(fields["retry"])
        if "event" in fields:
            data = json.loads(fields["data"])
            self.came.append((fields["event"], data))
            if fields["event"] == "sections":
                self.sections |= data
