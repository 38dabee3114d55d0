"""What the verdict says of both rollbacks, by hand and by the monitor.

Rules: pure. The automatic one proves something only where nothing had moved before its fault and
its entry in the control log came after it: a rollback for an older reason is a broken promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.lab.demo.facts import AUTOMATIC_FROM
from worker.lab.demo.messages import bucket
from worker.lab.demo.rows import Row

if TYPE_CHECKING:
    from worker.lab.demo.facts import Automatic, Facts

LONGEST_AUTOMATIC_S: Final = 30.0
LONGEST_ROLLBACK_S: Final = 10.0
"""Heartbeats come every second, and a call under way that was decided before may take its 3 s."""


def rolled_back(facts: Facts) -> Row:
    """By hand, in mid-traffic."""
    promise = f"rolled back on every worker, under {LONGEST_ROLLBACK_S:g} s"
    took_s = facts.rollback_s
    measured = "no rollback" if took_s is None else f"{took_s:.1f} s, by heartbeats"
    return Row(promise, measured, took_s is not None and took_s < LONGEST_ROLLBACK_S)


def untouched(facts: Facts) -> Row:
    """What automation does before the fault is no answer to the fault."""
    phase, percentage = AUTOMATIC_FROM
    promise = f"nothing moved before the fault: {phase} at {percentage} %"
    if facts.automatic is None:
        return Row(promise, "no rollback", holds=False)
    before = facts.automatic.before
    stood = (before.phase, before.percentage) == AUTOMATIC_FROM and not before.automatic
    moves = ", ".join(("", *before.automatic))
    return Row(promise, f"{before.phase} at {before.percentage} %{moves}", stood)


def rolled_back_by_itself(facts: Facts) -> Row:
    """By the monitor, and not before it had a reason."""
    promise = f"rolled back by itself after the fault, under {LONGEST_AUTOMATIC_S:g} s"
    found = facts.automatic
    if found is None:
        return Row(promise, "no rollback", holds=False)
    if found.entry_after_s <= 0:
        return Row(promise, f"{-found.entry_after_s:.1f} s before the fault", holds=False)
    took_s = found.zero_at - _first_failure(facts, found)
    return Row(
        promise, f"{took_s:.1f} s from the first failure to 0 %", took_s < LONGEST_AUTOMATIC_S
    )


def _first_failure(facts: Facts, found: Automatic) -> float:
    """When the first message that is the target's was published after the fault began."""
    _, percentage = AUTOMATIC_FROM
    failing = (
        each.at
        for each in facts.published
        if each.at >= found.fault_at and bucket(each.to) < percentage
    )
    return min(failing, default=found.fault_at)
