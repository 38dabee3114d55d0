"""The memory of a process that holds passwords, seen from another process."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

from worker.app import memory

LOOK = """
import ctypes, resource
from worker.app.memory import keep_private
before = ctypes.CDLL(None).prctl(3)
keep_private()
print(before, ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_no_core_is_dumped_and_nobody_of_the_same_user_reads_the_memory() -> None:
    asked = [sys.executable, "-c", LOOK]
    told = subprocess.run(asked, capture_output=True, check=True)  # noqa: S603 - our own
    assert told.stdout.decode() == "1 0 (0, 0)\n"


class Node:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


def test_what_nobody_refers_to_is_given_back_however_seldom_the_collector_runs() -> None:
    before = gc.get_threshold()
    gc.set_threshold(1_000_000)
    try:
        node = Node()
        gone = weakref.ref(node)
        del node
        assert gone() is not None
        memory.give_back()
        assert gone() is None
    finally:
        gc.set_threshold(*before)
