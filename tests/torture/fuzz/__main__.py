"""`python -m tests.torture.fuzz`: fuzz every target, list them, or repeat one input.

Without arguments: a million inputs of all targets. An interrupted run goes on where it stopped. The
exit code is 1 if a rule was broken.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.torture.fuzz import run_state
from tests.torture.fuzz.campaign import Campaign, measured, plan
from tests.torture.fuzz.table import TARGETS
from tests.torture.fuzz.watch import Failure, watched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.torture.fuzz.batch import Batch
    from tests.torture.fuzz.target import Target


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    given = _parser().parse_args(arguments)
    targets = [TARGETS[name] for name in given.target or TARGETS]
    if given.list:
        return _list(targets)
    if given.case:
        return _repeat(targets[0], given.case)
    batches = plan(given.inputs, given.seed, targets)
    if given.batch is not None:
        return _again(batch for batch in batches if batch.number == given.batch)
    run = run_state.run_of(given.inputs, given.seed, [target.name for target in targets])
    state = run_state.RunState(run) if given.anew else run_state.load(run, given.state)
    done = Campaign(batches, state, given.state).run(given.jobs)
    given.state.unlink(missing_ok=True)
    _report(done)
    return 1 if done.total().violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same inputs")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--anew", action="store_true", help="begin again")
    parser.add_argument("--target", action="append", choices=TARGETS, help="this one alone")
    parser.add_argument("--batch", type=int, help="only the batch of this number, in this process")
    parser.add_argument("--case", type=Path, help="repeat the input in this file; with --target")
    parser.add_argument("--list", action="store_true", help="list the targets")
    parser.add_argument("--state", type=Path, default=run_state.FILE, help="where it is kept")
    return parser


def _list(targets: Iterable[Target]) -> int:
    for target in targets:
        print(f"{target.name} ({target.share})\n  takes: {target.takes}\n  holds: {target.holds}")
    return 0


def _repeat(target: Target, case: Path) -> int:
    seen = watched(target, case.read_bytes())
    broken = isinstance(seen, Failure)
    print(f"{seen.rule}\n{seen.detail}" if isinstance(seen, Failure) else seen)
    return 1 if broken else 0


def _again(batches: Iterable[Batch]) -> int:
    failures = [each for batch in batches for each in measured(batch)[0].failures.values()]
    for failure in failures:
        print(f"{failure.rule}\n{failure.detail}\n{failure.data[:500]!r}")
    return 1 if failures else 0


def _report(done: run_state.RunState) -> None:
    row = "{:<22} {:>9} {:>11} {:>11} {:>11}"
    print(row.format("target", "inputs", "a CPU-s", "behaviours", "violations"))
    for name, tally in sorted(done.tallies.items()):
        rate = f"{tally.inputs / max(tally.seconds, 1e-9):,.0f}"
        seen, broken = len(tally.behaviours), tally.violations
        print(row.format(name, f"{tally.inputs:,}", rate, f"{seen:,}", f"{broken:,}"))
    whole = done.total()
    print(row.format("all", f"{whole.inputs:,}", "", "", f"{whole.violations:,}"))


if __name__ == "__main__":
    sys.exit(main())
