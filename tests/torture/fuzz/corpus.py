"""Inputs to begin with: messages kept elsewhere in the tests, and cases that failed before.

Rules: a case is a file in `cases/<target>/`; it is checked in every run. Whoever mends what a case
found leaves it there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.fuzz.watch import Failure

CASES: Final = Path(__file__).parent / "cases"
GOLDEN: Final = Path(__file__).parents[2] / "contracts" / "golden"


def golden(pattern: str) -> list[bytes]:
    """Messages that the contract keeps for ever."""
    return [path.read_bytes() for path in sorted(GOLDEN.glob(pattern))]


def cases(target: str, folder: Path = CASES) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each case of a target."""
    for path in sorted((folder / target).glob("*")):
        yield path.name, path.read_bytes()


def keep(target: str, failure: Failure, folder: Path = CASES) -> Path:
    """Write a failing input as a case; its name comes from its bytes."""
    path = folder / target / hashlib.sha256(failure.data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(failure.data)
    return path
