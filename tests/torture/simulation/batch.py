"""Runs histories one after the other and says what they break, one JSON document a line.

    python -m tests.torture.simulation.batch FIRST COUNT STEP [stop]

    {"done": 50}                                   so many more histories
    {"number": 17, "broken": ["...", "..."]}       a history that breaks something

Rules: hashes of strings must not differ from run to run, so `PYTHONHASHSEED` has to be set.
"""

from __future__ import annotations

import gc
import json
import sys
from typing import TYPE_CHECKING, Final

import structlog

from tests.torture.simulation.draw import draw
from tests.torture.simulation.verdict import violations

if TYPE_CHECKING:
    from collections.abc import Iterable

SAID_EVERY: Final = 50
QUIET: Final = 50
"""Level of logs above all that a worker writes: a story is told from the servers."""


def silence() -> None:
    """Let no simulated worker log, and leave what was imported to no collector."""
    level = structlog.make_filtering_bound_logger(QUIET)
    structlog.configure(wrapper_class=level, cache_logger_on_first_use=True)
    gc.freeze()
    gc.disable()  # each history is dropped as a whole: see `run`


def run(numbers: Iterable[int], *, stop: bool) -> None:
    """Run these histories; `stop`: end with the first that breaks something."""
    done = 0
    for number in numbers:
        broken = [str(each) for each in violations(draw(number))]
        done += 1
        if broken:
            say({"number": number, "broken": broken})
        if done == SAID_EVERY or (broken and stop):
            say({"done": done})
            done = 0
            gc.collect()
        if broken and stop:
            return
    say({"done": done})


def say(line: object) -> None:
    """Write one line, at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """See the module."""
    first, count, step = (int(word) for word in sys.argv[1:4])
    silence()
    run(range(first, first + count * step, step), stop=sys.argv[4:] == ["stop"])


if __name__ == "__main__":
    main()
