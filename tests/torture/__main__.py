"""Breaks every part, for up to half an hour on two cores: `make torture`.

    python -m tests.torture                  every stage, from where an earlier run ended
    python -m tests.torture STAGE [STAGE]    these stages

A stage that is done is not run again until `--anew`; inside a stage its own run goes on where it
stopped. The exit code is 0 only if nothing was broken.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

STATE: Final = Path(".local/torture/stages.json")
_PYTHON: Final = (sys.executable, "-m")
_PYTEST: Final = (*_PYTHON, "pytest", "-q", "-s", "-m", "torture", "--timeout=900")
STAGES: Final[dict[str, tuple[str, ...]]] = {
    "histories": (*_PYTHON, "tests.torture.simulation"),
    "seeded": (*_PYTEST, "tests/torture/seeded"),
    "matrix": (*_PYTHON, "tests.torture.processes.matrix"),
    "network": (*_PYTEST, "tests/torture/network"),
    "fuzz": (*_PYTHON, "tests.torture.fuzz"),
}
"""What is run, by name."""


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stages", nargs="*", choices=[[], *STAGES], help="which stages")
    parser.add_argument("--anew", action="store_true", help="run again what is done")
    given = parser.parse_args()
    done = {} if given.anew or not STATE.exists() else json.loads(STATE.read_text())
    for name in given.stages or STAGES:
        if name not in done:
            done[name] = _run(name, anew=given.anew)
            _keep(done)
    _report(done)
    return 1 if any(stage["code"] for stage in done.values()) else 0


def _run(name: str, *, anew: bool) -> dict[str, float]:
    """Run a stage; returns its exit code and how long it took."""
    print(f"--- {name}", flush=True)
    began = time.monotonic()
    again = ("--anew",) if anew and "pytest" not in STAGES[name] else ()
    code = subprocess.run((*STAGES[name], *again), check=False).returncode  # noqa: S603 - our own
    return {"code": code, "minutes": round((time.monotonic() - began) / 60, 1)}


def _keep(done: dict[str, dict[str, float]]) -> None:
    """Note what held; what broke something is run again the next time."""
    STATE.parent.mkdir(parents=True, exist_ok=True)
    STATE.write_text(json.dumps({name: each for name, each in done.items() if not each["code"]}))


def _report(done: dict[str, dict[str, float]]) -> None:
    print(f"{'stage':<12} {'minutes':>8}  result")
    for name, stage in done.items():
        result = "BROKEN" if stage["code"] else "nothing broken"
        print(f"{name:<12} {stage['minutes']:>8.1f}  {result}")


if __name__ == "__main__":
    sys.exit(main())
