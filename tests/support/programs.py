"""Programs of the machine, run to their end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

WITHIN_S = 120.0


def ran(
    *command: str | Path,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program of ours or of the system; what it printed and its exit code."""
    return subprocess.run(  # noqa: S603 - commands are those of the tests
        command,
        cwd=directory,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )


def tool(name: str) -> Path:
    """A program that was installed beside this Python."""
    return Path(sys.executable).with_name(name)
