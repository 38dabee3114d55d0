"""Plots of the simulation.

Rules: drawn without a display; the evidence has the same colour everywhere; what never happened is
drawn as never, at the edge, and not left out.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import matplotlib as mpl

from tests.bench.evidence_cases import COMMON, FOUND, QUIET, downs, quantile
from tests.bench.evidence_policies import EVIDENCE, POLICIES, ByEvidence
from tests.bench.evidence_traffic import HOUR, MINUTE, USUAL, Case, Chances, Traffic
from worker.domain.detection import likelihood, readings
from worker.domain.detection.signals import Signal, level
from worker.domain.figures.rates import Rate

mpl.use("agg")
import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from matplotlib.axes import Axes

    from tests.bench.evidence_cases import Row

COLOURS = dict(
    zip(POLICIES, ("#0b3c8c", "#e69f00", "#d55e00", "#cc79a7", "#009e73", "#7f7f7f"), strict=True)
)
NEVER = 3e5
"""Where on the axis of messages `never` is drawn."""
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 120,
    "savefig.bbox": "tight",
}


def draw(results: Mapping[str, Sequence[Any]], folder: Path) -> list[Path]:
    """Draw all plots; returns their paths."""
    paths = [folder / f"{name}.png" for name in ("false-alarms", "detection", "outage")]
    with plt.rc_context(STYLE):
        _false_alarms(results, paths[0])
        _detection(results, paths[1])
        _outage(paths[2])
    return paths


def _false_alarms(results: Mapping[str, Sequence[Any]], path: Path) -> None:
    rows: list[Row] = [*QUIET, *(row for row in COMMON if row.label == "both 15 %")]
    figure, axes = plt.subplots(figsize=(10, 4.8))
    width = 0.8 / len(POLICIES)
    for number, policy in enumerate(POLICIES):
        at = [place + (number - (len(POLICIES) - 1) / 2) * width for place in range(len(rows))]
        rates = [Rate(downs(results[row.name], policy), len(results[row.name])) for row in rows]
        shares = [rate.percent or 0.0 for rate in rates]
        errors = _intervals(rates)
        axes.bar(at, shares, width, label=policy, color=COLOURS[policy], yerr=errors,
                 error_kw={"elinewidth": 0.7, "ecolor": "#555555"})  # fmt: skip
        if policy == EVIDENCE:
            for place, share in zip(at, shares, strict=True):
                axes.annotate(f"{share:.2g}", (place, share), (0, 5), textcoords="offset points",
                              ha="center", fontsize=8, color=COLOURS[policy])  # fmt: skip
    axes.set_xticks(range(len(rows)), [_wrapped(row) for row in rows], fontsize=7)
    axes.set_ylabel("runs in which the target's traffic is taken, %")
    axes.set_title("False alarms: the target is not to blame (24 h; both 15 %: 2 h)", loc="left")
    axes.grid(visible=False, axis="x")
    axes.legend(ncols=len(POLICIES), loc="upper center", bbox_to_anchor=(0.5, -0.17), fontsize=9)
    figure.savefig(path)
    plt.close(figure)


def _wrapped(row: Row) -> str:
    first, _, rest = row.label.partition(" ")
    return f"{first}\n{rest}\nat {row.case.split} %"


def _intervals(rates: list[Rate]) -> list[list[float]]:
    ends = [(rate.percent or 0.0, *(rate.interval or (0.0, 0.0))) for rate in rates]
    below = [max(0.0, middle - low) for middle, low, _ in ends]
    return [below, [max(0.0, high - middle) for middle, _, high in ends]]


def _detection(results: Mapping[str, Sequence[Any]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(10, 7.5))
    for number, policy in enumerate(POLICIES):
        for place, row in enumerate(FOUND):
            found = [run.down[policy].messages for run in results[row.name]]
            middle, late = (min(NEVER, value) for value in (median(found), quantile(found, 0.9)))
            height = place + (number - (len(POLICIES) - 1) / 2) * 0.13
            axes.plot([middle, late], [height, height], color=COLOURS[policy], linewidth=1.5)
            axes.plot(middle, height, "x" if middle == NEVER else "o", color=COLOURS[policy],
                      markersize=5)  # fmt: skip
        axes.plot([], [], "o", color=COLOURS[policy], label=policy)
    axes.axvline(NEVER, color="#999999", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    ticks = [1, 10, 100, 1_000, 10_000]
    axes.set_xticks([*ticks, NEVER], [*(f"{tick:,}" for tick in ticks), "never"])
    axes.set_yticks(range(len(FOUND)), [row.name for row in FOUND])
    axes.invert_yaxis()
    axes.set_xlabel(
        "messages of the target until its traffic is taken: median, line to the 90th percentile"
    )
    axes.set_title("Detection: the target got worse (share of the traffic in per cent)", loc="left")
    axes.legend(ncols=len(POLICIES), loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=9)
    figure.savefig(path)
    plt.close(figure)


def _outage(path: Path) -> None:
    """One run each: the target alone gets worse, and both do."""
    bad, both = Chances(0.1), Chances(0.15)
    figure, panes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    _one_run(panes[0], Case("alone", 5, trouble=(bad, USUAL), ticks=2 * HOUR),
             "The target alone: 2 -> 10 %, at a share of 5 %")  # fmt: skip
    _one_run(panes[1], Case("both", 25, trouble=(both, both), lasts=20 * MINUTE, ticks=2 * HOUR),
             "Both for 20 min: 2 -> 15 %, at a share of 25 %")  # fmt: skip
    panes[0].set_ylabel("strength of the detector, nats")
    panes[0].legend(loc="upper left", fontsize=9)
    figure.savefig(path)
    plt.close(figure)


def _one_run(axes: Axes, case: Case, title: str) -> None:
    policy, minutes = ByEvidence(case), []
    worse, bad, said = [], [], ""
    for at, tick in enumerate(Traffic(case, 1).ticks()):
        action = policy.look(tick).action
        minutes.append((at - case.onset) / MINUTE)
        worse.append(max(-5.0, likelihood.strength(policy.known.relative[Signal.FAILED])))
        bad.append(max(-5.0, readings.absolute_strength(policy.known, Signal.FAILED)))
        if action != "go on" and str(action) != said:
            said = str(action)
            axes.annotate(f"{said}, {minutes[-1]:.1f} min", (minutes[-1], 13.5), (8, 62),
                          textcoords="offset points", fontsize=9,
                          arrowprops={"arrowstyle": "-", "color": "#555555"})  # fmt: skip
        if action.down:
            break
    axes.plot(minutes, worse, color=COLOURS[EVIDENCE], label="worse than legacy")
    axes.plot(minutes, bad, color="#d55e00", label="bad in itself")
    for relative, colour in ((True, COLOURS[EVIDENCE]), (False, "#d55e00")):
        wanted = level(relative=relative, signal=Signal.FAILED)
        axes.axhline(wanted, color=colour, linestyle="--", linewidth=0.9)
    axes.axvspan(0, min(minutes[-1], case.lasts / MINUTE), color="#f2e6d8", zorder=0)
    axes.set_xlim(-15, min(60, max(20, minutes[-1] + 5)))
    axes.set_ylim(-6, 24)
    axes.set_xlabel("minutes since the trouble began (dashed: alarm)")
    axes.set_title(title, loc="left", fontsize=10)
