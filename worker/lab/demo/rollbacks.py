"""The rows of the verdict about both rollbacks, by hand and by the monitor.

Rules: pure. The automatic rollback counts only if nothing moved before its fault and its log entry
came after the fault. A rollback for an older reason is a broken promise.
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
"""Heartbeats come every second, and a call decided before may take 3 s."""


def rolled_back(facts: Facts) -> Row:
    """The row about the rollback by hand during traffic."""
    promise = f"rolled back on every worker, under {LONGEST_ROLLBACK_S:g} s"
    took_s = facts.rollback_s
    measured = "no rollback" if took_s is None else f"{took_s:.1f} s, by heartbeats"
    return Row(promise, measured, took_s is not None and took_s < LONGEST_ROLLBACK_S)


def untouched(facts: Facts) -> Row:
    """The row that automation did nothing before the fault."""
    phase, percentage = AUTOMATIC_FROM
    promise = f"nothing moved before the fault: {phase} at {percentage} %"
    if facts.automatic is None:
        return Row(promise, "no rollback", holds=False)
    before = facts.automatic.before
    stood = (before.phase, before.percentage) == AUTOMATIC_FROM and not before.automatic
    moves = ", ".join(("", *before.automatic))
    return Row(promise, f"{before.phase} at {before.percentage} %{moves}", stood)


def rolled_back_by_itself(facts: Facts) -> Row:
    """The row about the rollback by the monitor, which must come after the fault."""
    promise = f"rolled back by itself after the fault, under {LONGEST_AUTOMATIC_S:g} s"
    rollback = facts.automatic
    if rollback is None:
        return Row(promise, "no rollback", holds=False)
    if rollback.entry_after_s <= 0:
        return Row(promise, f"{-rollback.entry_after_s:.1f} s before the fault", holds=False)
    took_s = rollback.zero_at - _first_failure(facts, rollback)
    return Row(
        promise, f"{took_s:.1f} s from the first failure to 0 %", took_s < LONGEST_AUTOMATIC_S
    )


def _first_failure(facts: Facts, rollback: Automatic) -> float:
    """The time of the first published message for the target after the fault began."""
    _, percentage = AUTOMATIC_FROM
    failing = (
        each.at
        for each in facts.published
        if each.at >= rollback.fault_at and bucket(each.to) < percentage
    )
    return min(failing, default=rollback.fault_at)
