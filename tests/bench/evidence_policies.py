"""The policies compared: the evidence, and the rules others use.

Rules: every policy says when it would take the target's traffic away, and sees the same traffic.
The evidence looks every tick, as the monitor does; the others every minute.

- `evidence`: `domain.detection.evidence` and `domain.detection.automatic_rollback` themselves.
- `5 min/20` and `5 min/100`: the policy `threshold` (`judge_window`): errors over 5 % in
  the last five minutes, on at least that many outcomes. The rule of the system replaced.
- `3 strikes`: three looks in a row at one minute's errors, each over 5 %. Kubernetes gives a pod up
  after 3 failed probes in a row (`failureThreshold`), Flagger rolls back after a number of failed
  looks at one minute's success rate (`threshold`).
- `z-test`: two proportions since the share began, two-sided 5 %, once 5 failures are expected on
  each side; `z, corr.`: the same at 5 % over all 1,440 looks of a day (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING

from tests.bench.evidence_traffic import MINUTE
from tests.support.seeded import state_at
from worker.domain.detection import automatic_rollback, criteria
from worker.domain.detection.automatic_rollback import Action
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.observing import observe
from worker.domain.detection.threshold_policy import Window, judge_window
from worker.domain.migration.flags import Flags, Thresholds
from worker.domain.migration.phases import Role

if TYPE_CHECKING:
    from tests.bench.evidence_traffic import Case, Traffic
    from worker.domain.detection.tick import Tick

EVIDENCE = "evidence"
MOST_ERRORS = 0.05
STRIKES = 3
WINDOW = 5
"""Minutes."""
LOOKS_A_DAY = 1_440
LEAST_EXPECTED = 5.0
NOTHING_KNOWN = Evidence()


class ByEvidence:
    """The engine and the decision table."""

    def __init__(self, case: Case) -> None:
        self.state = state_at(case.split)
        self.known = Evidence()
        self.setting = criteria.criteria_of(self.state, dict.fromkeys(Role, True), 600.0)

    def look(self, tick: Tick) -> automatic_rollback.Judgement:
        self.known = observe(self.known, tick, self.setting)
        return automatic_rollback.judge(self.known, self.state)


Rule = Callable[["Traffic"], Iterator[bool]]
"""Of each minute, whether the rule takes the traffic away at its end."""


def threshold(minimum: int) -> Rule:
    def looks(traffic: Traffic) -> Iterator[bool]:
        thresholds = Thresholds(minimum_sample=minimum, window_min=WINDOW)
        state = state_at(traffic.case.split)
        state = replace(state, flags=Flags(thresholds=thresholds))
        minutes = traffic.target.plain()
        sums = minutes.cumsum(axis=0)
        sums[WINDOW:] -= sums[:-WINDOW].copy()
        return (
            # By the rates alone, as others have it: without our look at the way back.
            judge_window(_window(*row), NOTHING_KNOWN, state).action is Action.ROLL_BACK
            for row in sums.tolist()
        )

    return looks


def _window(failed: int, every: int, slow: int, accepted: int) -> Window:
    """With a p95 above every bound where more than one in twenty was slow."""
    return Window(every - failed, failed, math.inf if slow > MOST_ERRORS * accepted else 0.0)


def three_strikes(traffic: Traffic) -> Iterator[bool]:
    strikes = 0
    for failed, every, slow, accepted in traffic.target.plain().tolist():
        if every:
            bad = failed > MOST_ERRORS * every or slow > MOST_ERRORS * accepted
            strikes = strikes + 1 if bad else 0
        yield strikes >= STRIKES


def z_test(level: float) -> Rule:
    """Worse than legacy at `level`, two-sided, in failures or in slow calls."""
    wanted = NormalDist().inv_cdf(1 - level / 2)

    def looks(traffic: Traffic) -> Iterator[bool]:
        ours = traffic.target.plain().cumsum(axis=0).tolist()
        theirs = traffic.legacy.plain().cumsum(axis=0).tolist()
        return (
            max(_z(a, n, c, m), _z(slow, good, other, of)) > wanted
            for (a, n, slow, good), (c, m, other, of) in zip(ours, theirs, strict=True)
        )

    return looks


def _z(events: int, total: int, others: int, of: int) -> float:
    if not total or not of:
        return 0.0
    pooled = (events + others) / (total + of)
    if pooled * min(total, of) < LEAST_EXPECTED or pooled == 1:
        return 0.0
    spread = math.sqrt(pooled * (1 - pooled) * (1 / total + 1 / of))
    return (events / total - others / of) / spread


RULES = {
    "5 min/20": threshold(20),
    "5 min/100": threshold(100),
    "3 strikes": three_strikes,
    "z-test": z_test(0.05),
    "z, corr.": z_test(0.05 / LOOKS_A_DAY),
}
POLICIES = (EVIDENCE, *RULES)


def end_of_minute(minute: int) -> int:
    """The tick after which a look of that minute is made."""
    return (minute + 1) * MINUTE - 1
