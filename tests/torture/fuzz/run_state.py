"""What a run has done so far, kept in a file so that an interrupted run goes on where it stopped.

Rules: what is kept counts for the same inputs, seed and code only. Batches that were under way when
a run was interrupted are run again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.torture.fuzz.batch import Batch, Result

ROOT: Final = Path(__file__).parents[3]
FILE: Final = ROOT / ".local" / "torture" / "fuzz.json"


@dataclass(slots=True)
class Tally:
    """What one target has done."""

    inputs: int = 0
    violations: int = 0
    seconds: float = 0.0
    behaviours: list[str] = field(default_factory=list)

    def add(self, result: Result, seconds: float) -> None:
        """Add a batch."""
        self.inputs += result.inputs
        self.violations += result.violations
        self.seconds += seconds
        self.behaviours = sorted({*self.behaviours, *result.behaviours})


@dataclass(slots=True)
class RunState:
    """What a run has done."""

    run: str
    """Names the run; see `run_of`."""
    done: list[str] = field(default_factory=list)
    """Names of the batches."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    """By target."""

    def has(self, batch: Batch) -> bool:
        """Whether the batch is done."""
        return _name(batch) in self.done

    def add(self, batch: Batch, result: Result, seconds: float) -> None:
        """Count a batch that is done."""
        self.done.append(_name(batch))
        self.tallies.setdefault(batch.target, Tally()).add(result, seconds)

    def total(self) -> Tally:
        """All targets together; behaviours are counted by target."""
        whole = Tally()
        for tally in self.tallies.values():
            whole.inputs += tally.inputs
            whole.violations += tally.violations
            whole.seconds += tally.seconds
        return whole


def _name(batch: Batch) -> str:
    return f"{batch.target} {batch.number}"


def run_of(inputs: int, seed: int, targets: list[str]) -> str:
    """Name a run by all that decides it, and by the code that it tests."""
    digest = hashlib.sha256()
    for folder in ("worker", "contracts", "tests/torture/fuzz", "tests/support"):
        for path in sorted((ROOT / folder).rglob("*.[py][ya]*")):
            digest.update(path.read_bytes())
    return f"{inputs} {seed} {' '.join(targets)} {digest.hexdigest()[:16]}"


def load(run: str, file: Path) -> RunState:
    """What this run has done; nothing, if the file tells of another run."""
    try:
        kept: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return RunState(run)
    if kept.get("run") != run:
        return RunState(run)
    tallies = {name: Tally(**tally) for name, tally in kept["tallies"].items()}
    return RunState(run, kept["done"], tallies)


def save(state: RunState, file: Path) -> None:
    """Write it at once or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = file.with_suffix(".new")
    whole.write_text(json.dumps(asdict(state)))
    whole.replace(file)
