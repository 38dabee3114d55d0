"""The tables of the simulation: 80 columns, for a terminal and a file alike.

Rules: a row is a case, a column a policy; under the label stand the bar of the evidence and whether
it holds. Nothing found is said as a word, never as a number.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from tests.bench.evidence_cases import COMMON, FOUND, QUIET, Row, downs, quantile
from tests.bench.evidence_policies import EVIDENCE, POLICIES
from tests.bench.evidence_proofs import MOST_OFF, TRUE, off
from worker.domain.figures.rates import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from tests.bench.evidence_runs import Found, Run

    Results = Mapping[str, Sequence[Any]]
    Cells = Callable[[Row, Sequence[Run], str], tuple[str, str]]

LABEL, CELL = 20, 10


QUIET_TITLE = """\
Traffic taken from the target in 24 h without a reason, % of {runs} runs, and the
95 % interval (Wilson). Everyday: campaigns, nights, operators' bad minutes and
dead numbers tried again. Last two (8 h): the target fails half as often again,
which is tolerated; 20,000 recipients, of whom 2 % never work"""
FOUND_TITLE = """\
The target got worse, after an hour in which it was as good as legacy: messages
and minutes until its traffic is taken, median/90th percentile. An alarm that
already stood counts as found at once. Undelivered: each message is judged
after 10 minutes, and what the others find are false alarms"""
COMMON_TITLE = """\
Trouble that is not the target's: runs of {runs} in which its traffic is taken;
of the evidence, minutes until `hold: common trouble`, median/90th percentile.
Late: both dead, the target's failures are known that much later. Legacy later:
half of both fail, and legacy's failures are known 30 s later"""
FAULTS_TITLE = "Faults of recipients and messages, by the real book: runs of {runs} with an alarm"
PROOFS_TITLE = "Proofs of a target as good as legacy: messages of the target"


def tables(results: Results, runs: int) -> str:
    """All of them."""
    found = (
        _table(QUIET_TITLE, QUIET, results, _quiet),
        _table(FOUND_TITLE, FOUND, results, _found),
        _table(COMMON_TITLE, COMMON, results, _common),
        _faults(results),
        _proofs(results),
    )
    return "\n\n".join(found).replace("{runs}", str(runs))


def _line(label: str, cells: Sequence[str]) -> str:
    return f"{label:<{LABEL}}" + "".join(f"{cell:>{CELL}}" for cell in cells)


def _table(title: str, rows: Sequence[Row], results: Results, cells: Cells) -> str:
    lines = [title, "", _line("", POLICIES)]
    for row in rows:
        runs = results[row.name]
        pairs = [cells(row, runs, policy) for policy in POLICIES]
        lines.append(_line(row.name, [first for first, _ in pairs]))
        lines.append(_line(_bar(row.bar, held=row.verdict(runs)), [second for _, second in pairs]))
    return "\n".join(line.rstrip() for line in lines)


def _bar(bar: str, *, held: bool | None) -> str:
    if held is None:
        return ""
    return f"  {bar}: {'held' if held else 'MISSED'}"


def share_of(count: int, runs: int) -> tuple[str, str]:
    rate = Rate(count, runs)
    low, high = rate.interval or (0.0, 0.0)
    digits = 0 if high > 10 else 1
    return f"{rate.percent:.1f}", f"{low:.{digits}f}-{high:.{digits}f}"


def _quiet(_row: Row, runs: Sequence[Run], policy: str) -> tuple[str, str]:
    return share_of(downs(runs, policy), len(runs))


def _found(_row: Row, runs: Sequence[Run], policy: str) -> tuple[str, str]:
    found = [run.down[policy] for run in runs]
    if median(each.minutes for each in found) == math.inf:
        return "never", f"{sum(each.ever for each in found)} runs" if downs(runs, policy) else ""
    return _both([f.messages for f in found], "0"), f"{_both([f.minutes for f in found], '1')} m"


def _common(_row: Row, runs: Sequence[Run], policy: str) -> tuple[str, str]:
    held = [run.held for run in runs] if policy == EVIDENCE else []
    return str(downs(runs, policy)), _held(held)


def _held(held: Sequence[Found]) -> str:
    ever = sum(each.ever for each in held)
    if 2 * ever <= len(held):
        return f"{ever} held" if ever else ""
    return f"{_both([each.minutes for each in held], '1')} m"


def _both(values: Sequence[float], digits: str) -> str:
    return "/".join(_figure(each, digits) for each in (median(values), quantile(values, 0.9)))


def _figure(value: float, digits: str) -> str:
    if value == math.inf:
        return "-"
    if value >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value:.{0 if value >= 10 else int(digits)}f}"


def _faults(results: Results) -> str:
    lines = [FAULTS_TITLE, "", _line("", POLICIES)]
    for name, found in faults(results):
        counts = [sum(run[policy] for run in found) for policy in POLICIES]
        lines.append(_line(name, [str(count) for count in counts]))
        lines.append(_bar("0", held=counts[0] == 0))
    return "\n".join(lines)


def faults(results: Results) -> list[tuple[str, Sequence[dict[str, bool]]]]:
    """Results of the cases of `evidence_faults`, by a label that fits."""
    mark = "fault: "
    return [
        (name.removeprefix(mark), found) for name, found in results.items() if name.startswith(mark)
    ]


def _proofs(results: Results) -> str:
    lines = [PROOFS_TITLE, ""]
    lines.append(f"{'':<28}{'stated':>10}{'median':>10}{'90th':>10}{'difference':>12}")
    for proof in TRUE:
        found = results[proof.name]
        middle, late = median(found), quantile(found, 0.9)
        stated = f"{proof.stated}" if proof.stated else ""
        part = off(proof, found)
        differs = "" if part is None else f"{100 * part:+.0f} %"
        figures = f"{stated:>10}{_plain(middle):>10}{_plain(late):>10}{differs:>12}"
        lines.append(f"{proof.name:<28}{figures}")
    return "\n".join(line.rstrip() for line in lines)


def _plain(value: float) -> str:
    return "never" if value == math.inf else f"{value:.0f}"


def missed(results: Results) -> list[str]:
    """Every bar that is not held."""
    rows = (*QUIET, *FOUND, *COMMON)
    failed = [row.name for row in rows if row.verdict(results[row.name]) is False]
    blamed = [name for name, found in faults(results) if any(run[EVIDENCE] for run in found)]
    late = [
        proof.name
        for proof in TRUE
        if proof.stated and not abs(off(proof, results[proof.name]) or 0.0) <= MOST_OFF
    ]
    return [*failed, *blamed, *late]
