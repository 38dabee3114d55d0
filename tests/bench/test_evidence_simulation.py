"""The policy of roll-back and advance against seeded traffic, beside the rules others use.

400 runs a case in two processes; every bar of the method is asserted. Tables go to the terminal and
to `.local/bench/evidence.md`, the plots beside it.
`PYTHONPATH=. python tests/bench/test_evidence_simulation.py [RUNS]` does the same on the source.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.bench import compiled
from tests.bench.evidence_cases import COMMON, FOUND, QUIET
from tests.bench.evidence_faults import fault_alarms
from tests.bench.evidence_plots import draw
from tests.bench.evidence_proofs import TRUE, proved_after
from tests.bench.evidence_runs import Job, run, work_off
from tests.bench.evidence_table import missed, tables
from tests.bench.evidence_traffic import Case
from tests.support.seeded_book import OWN_FAULTS

RUNS = 400
OUTPUT = Path(__file__).parents[2] / ".local" / "bench"
FAULT_SPLIT = 5


def jobs(runs: int) -> list[Job]:
    """The long ones first: they keep both processes busy."""
    cases = [Job(row.name, run, row.case, runs) for row in (*QUIET, *FOUND, *COMMON)]
    proofs = [Job(proof.name, proved_after, proof, runs) for proof in TRUE]
    faults = [
        Job(f"fault: {times} {kind}", fault_alarms, Case(kind, FAULT_SPLIT), runs)
        for kind, (_, times) in OWN_FAULTS.items()
    ]
    return [*cases, *proofs, *faults]


def simulate(runs: int) -> list[str]:
    """All cases, printed, written and drawn; returns the bars that are missed."""
    began = time.monotonic()
    results = work_off(jobs(runs))
    text = tables(results, runs)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "evidence.md").write_text(f"```text\n{text}\n```\n", encoding="utf-8")
    plots = draw(results, OUTPUT)
    print(f"\n{text}\n\n{(time.monotonic() - began) / 60:.1f} min; {OUTPUT}:")
    print(", ".join(path.name for path in (OUTPUT / "evidence.md", *plots)))
    return missed(results)


@pytest.mark.bench
@pytest.mark.timeout(3_600)
def test_the_evidence_holds_every_bar() -> None:
    assert compiled.run(__file__, RUNS) == 0


if __name__ == "__main__":
    found = simulate(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
    sys.exit(f"missed: {', '.join(found)}" if found else 0)
