"""Starts worker processes in milliseconds: one process has imported everything, and forks.

    python -m tests.torture.processes.nursery

Rules: a child is a process of its own in every respect that faults can touch: it has its own
sockets, event loop, process group and exit code. Only the imports are shared, which cost more than
a second each. The nursery itself opens no connection and starts no thread. Children die with it,
and it ends when its input ends. A line of JSON on its input starts a child; its output says what
became of each:

    {"start": 7, "arguments": ["run"], "environment": {...}, "log": "/.../worker.log"}
    {"started": 7, "pid": 4711}
    {"ended": 7, "code": -9}
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import sys
from typing import Any

from tests.torture.processes import program
from worker.lab.local.leash import PR_SET_PDEATHSIG


def main() -> None:
    """Serve until the input ends."""
    gc.freeze()  # what is shared is not touched, so it stays shared
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([sys.stdin.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _say_who_ended(children)
        if sys.stdin.fileno() in ready:
            if not (line := sys.stdin.buffer.raw.readline()):
                return
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                _become(order)
                return
            children[pid] = order["start"]
            _say(started=order["start"], pid=pid)


def _say(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def _say_who_ended(children: dict[int, int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        _say(ended=children.pop(pid), code=os.waitstatus_to_exitcode(status))


def _become(order: dict[str, Any]) -> None:
    """Run the program in this child; returns when it is to end normally."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv[1:] = order["arguments"]
    program.main()


if __name__ == "__main__":
    main()
