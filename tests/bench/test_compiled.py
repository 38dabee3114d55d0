"""The compiled engine says the same as its source, bit for bit.

`PYTHONPATH=. python tests/bench/test_compiled.py` prints what the source says.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys

import pytest

from tests.bench import compiled
from tests.bench.evidence_cases import COMMON, FOUND, QUIET
from tests.bench.evidence_policies import ByEvidence
from tests.bench.evidence_traffic import HOUR, Traffic
from worker.domain.detection import observing

ROWS = (QUIET[-3], FOUND[3], FOUND[-1], COMMON[1])


def said() -> str:
    """A digest of all evidence and judgements; a count may be an integer here and a float there."""
    found = hashlib.sha256()
    for row in ROWS:
        policy = ByEvidence(row.case)
        for _, tick in zip(range(2 * HOUR), Traffic(row.case, 1).ticks(), strict=False):
            text = f"{policy.look(tick)} {policy.known}"
            found.update(re.sub(r"(?<![\w.])(\d+)(?![\w.])", r"\1.0", text).encode())
    return found.hexdigest()


@pytest.mark.bench
def test_it_says_what_the_source_says() -> None:
    engine, ours = _asked(*compiled.compiled())
    assert engine.endswith(".so"), "no C compiler"
    assert ours == said()


def _asked(*path: object) -> list[str]:
    paths = os.pathsep.join(map(str, [*path, compiled.ROOT]))
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, __file__],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


if __name__ == "__main__":
    print(observing.__file__, said())
