"""Run a program that dies with the process that started it.

    python -I -S leash.py PARENT_PID PROGRAM [ARGUMENT...]

Rules: standard library only, started by path (no package import, a few milliseconds). The kernel
delivers SIGKILL when the parent dies, however it dies (Linux `PR_SET_PDEATHSIG`, prctl(2)); the
setting survives the `exec`. A parent that died before the setting took hold is seen by its pid.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Tie this process to `parent` and become `command`."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(f"the process that started {command[0]} is gone")
    os.execvp(command[0], command)  # noqa: S606 - the point: no shell between


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
