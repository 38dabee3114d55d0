"""What became of each cell of the matrix, in a file and on the screen.

Rules: a result belongs to the sources that it was found with; those of other sources do not count.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from worker.lab.local.parts import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.torture.processes.cell import Cell

_SOURCES: Final = ("worker", "contracts", "tests/torture/processes", "tests/torture/judge")


@dataclass(slots=True)
class Results:
    """Results, by the name of the cell.

    Args:
        file: to which each result is appended.
    """

    file: Path
    sources: str = field(init=False)
    held: set[str] = field(default_factory=set)
    broken: dict[str, list[str]] = field(default_factory=dict)
    total: int = 0

    def __post_init__(self) -> None:
        self.sources = _hash_of_sources()

    def read(self) -> None:
        """Take what an earlier run of the same sources found to hold."""
        if self.file.exists():
            lines = [json.loads(line) for line in self.file.read_text().splitlines()]
            ours = (line for line in lines if line["sources"] == self.sources)
            self.held |= {line["cell"] for line in ours if not line["problems"]}

    def note(self, cell: Cell, problems: list[str], took_s: float) -> None:
        """Write down and print one result."""
        name = str(cell)
        self.broken.pop(name, None)
        if problems:
            self.broken[name] = problems
        else:
            self.held.add(name)
        line = {"cell": name, "problems": problems, "sources": self.sources}
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        done = len(self.held) + len(self.broken)
        verdict = "BROKEN" if problems else "holds"
        print(f"[{done}/{self.total}] {verdict} {name} ({took_s:.1f} s)", flush=True)
        for problem in problems:
            print(f"    {problem}")
        if problems:
            print(f"    again: python -m tests.torture.processes.matrix '{name}'", flush=True)


def _hash_of_sources() -> str:
    found = hashlib.sha256()
    for folder in _SOURCES:
        for source in sorted((ROOT / folder).rglob("*.py")):
            found.update(source.read_bytes())
    return found.hexdigest()[:16]
