"""Hunts a seeded fault: runs histories of a worker with the fault until one breaks something."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.torture.simulation import batch
from tests.torture.simulation.draw import WATCHED_EVERY

ROOT: Final = Path(__file__).parents[3]
PATCHES: Final = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.patch"))}
"""The seeded faults by name."""
PLAIN: Final = (0, 600, 1)
"""First history, how many at most, and the step between two."""
WATCHED: Final = (WATCHED_EVERY // 2, 60, WATCHED_EVERY)
"""The same, for a fault that only automation shows."""
STALE: Final = "stale_evidence"
_PATCHED: Final = ("worker", "contracts")
_SHARED: Final = ("tests", "deploy")


@dataclass(frozen=True, slots=True)
class Found:
    """What a hunt brought."""

    histories: int
    """How many it took."""
    broken: tuple[str, ...]
    """What the last of them broke; empty: nothing."""


def seed(patch: Path, folder: Path) -> None:
    """Put the sources into a folder, with a fault.

    Raises:
        CalledProcessError: the patch fits the sources no more: make it anew.
    """
    for name in _PATCHED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _SHARED:
        (folder / name).symlink_to(ROOT / name)
    subprocess.run(["git", "apply", str(patch)], cwd=folder, check=True)  # noqa: S603, S607 - ours, from PATH


def hunt(name: str, folder: Path) -> Found:
    """Run histories of the sources in a folder until one breaks something, or up to a bound.

    Args:
        name: of the fault that was seeded there.
        folder: the sources.
    """
    words = map(str, WATCHED if name == STALE else PLAIN)
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", batch.__name__, *words, "stop"],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    broken = next((line["broken"] for line in lines if "number" in line), [])
    return Found(sum(line.get("done", 0) for line in lines), tuple(broken))
