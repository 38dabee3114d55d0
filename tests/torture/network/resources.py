"""What a process holds, as the kernel tells it: memory, descriptors, sockets."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Resources:
    """What one process holds at one moment."""

    resident_kib: int
    """Memory now (VmRSS)."""
    peak_kib: int
    """The most it ever was (VmHWM)."""
    descriptors: int
    sockets: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Read it from /proc."""
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        links = _descriptors(pid)
        return cls(
            resident_kib=_figure(status, "VmRSS"),
            peak_kib=_figure(status, "VmHWM"),
            descriptors=len(links),
            sockets=sum(link.startswith("socket:") for link in links),
            threads=_figure(status, "Threads"),
        )


def _figure(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None, f"no {name} in\n{status}"
    return int(found[1])


def _descriptors(pid: int) -> list[str]:
    links = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            links.append(str(each.readlink()))
    return links
