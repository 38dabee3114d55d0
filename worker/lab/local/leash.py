"""Runs a program that dies with the process that started it.

    python -I -S leash.py PARENT_PID PROGRAM [ARGUMENT...]

Rules: it uses the standard library only and is started by path, without package import, which takes
a few milliseconds. The kernel sends SIGKILL when the parent dies, however it dies (Linux
`PR_SET_PDEATHSIG`, prctl(2)). The setting survives the `exec`. The parent's pid shows whether it
died before the setting was made.
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
    os.execvp(command[0], command)  # noqa: S606 - on purpose without a shell


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
