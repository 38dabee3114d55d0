"""Simulations on the compiled engine: the same source, the same numbers, in half the time.

Rules: of a copy of `worker` and `contracts` the modules are compiled (mypyc) in which simulations
spend their time; a program of this folder that runs with the copy first on its path takes them from
there. Where no C compiler is found it runs on the source. What is shipped is never compiled.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".local" / "bench" / "compiled"
PACKAGES = ("worker", "contracts")
ROOM = "worker/domain/detection"
MODULES = (
    "automatic_rollback", "blocks", "cohorts", "comparing", "contrast", "counting", "criteria",
    "likelihood", "margin", "observing", "readings", "resets", "sick_replica", "signals",
    "silence", "threshold_policy", "tick", "trouble",
)  # fmt: skip
"""Without `evidence`: `changed` fills the dictionary of an object, and compiled ones have none."""


def run(program: str, *arguments: object) -> int:
    """Run a program of this folder, as `python FILE ARGUMENT...`, and return its exit code."""
    path = os.pathsep.join(map(str, [*compiled(), ROOT]))
    command = [sys.executable, program, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False)  # noqa: S603 - ours
    return done.returncode


def compiled() -> list[Path]:
    """The folder to take the engine from, made where the source is not that of last time."""
    if shutil.which(os.environ.get("CC", "cc")) is None:
        print("no C compiler: on the source, in twice the time", flush=True)
        return []
    folder = FOLDER / _digest()
    if not (folder / "done").exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, folder / package)
        shutil.copy(ROOT / "pyproject.toml", folder)
        modules = [f"{ROOM}/{name}.py" for name in MODULES]
        command = [sys.executable, "-m", "mypyc", *modules]
        done = subprocess.run(  # noqa: S603 - ours
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"mypyc failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        (folder / "done").touch()
    return [folder]


def _digest() -> str:
    found = hashlib.sha256(f"{sys.version} {MODULES}".encode())
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]
