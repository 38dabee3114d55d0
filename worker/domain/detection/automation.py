"""What automation decides in one tick: everything it was given, to the entry of the control log.

Rules: pure, so that the monitor and a replay make the same decision from the same inputs. Down and
hold come from the judgement; up comes from `migration.decide`, through the same gates as
everybody's, and as a proposal where approval is required. A hold goes on record once, however long
it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from worker.domain.detection import observing
from worker.domain.detection.automatic_rollback import Action, judge, permitted
from worker.domain.detection.step_down import went_down
from worker.domain.detection.threshold_policy import judge_window
from worker.domain.migration.access import AccessRole
from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.changes import Request
from worker.domain.migration.decide import Decision, accepted, decide, next_up
from worker.domain.migration.direction import share
from worker.domain.migration.flags import RollbackPolicy
from worker.domain.migration.reply_codes import ReplyCode
from worker.domain.migration.snapshot import AUTOMATIC, describe

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.detection.automatic_rollback import HoldReason, Judgement
    from worker.domain.detection.criteria import Criteria
    from worker.domain.detection.evidence import Evidence
    from worker.domain.detection.threshold_policy import Window
    from worker.domain.detection.tick import Tick
    from worker.domain.migration.gates import Measures
    from worker.domain.migration.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a decision is made on, but for the state it is made in."""

    at: datetime
    before: Evidence
    tick: Tick
    setting: Criteria
    held: tuple[HoldReason, ...] = ()
    """Holds that stand in the control log of late."""
    window: Window | None = None
    """Under the policy `threshold` alone."""
    measures: Measures | None = None
    """Of a move upwards alone; its evidence is that of this tick."""


@dataclass(frozen=True, slots=True)
class AutomaticDecision:
    """What goes into the control log, and by which name."""

    name: str
    decision: Decision


def judged(inputs: Inputs, state: Snapshot) -> tuple[Judgement, Evidence]:
    """Take the tick into the evidence and judge it by the policy in force."""
    evidence = observing.observe(inputs.before, inputs.tick, inputs.setting)
    if state.flags.rollback_policy is RollbackPolicy.THRESHOLD and inputs.window is not None:
        judgement = judge_window(inputs.window, evidence, state)
    else:
        judgement = judge(evidence, state)
    return permitted(judgement, state), evidence


def wants_up(judgement: Judgement, state: Snapshot, now: datetime) -> bool:
    """Whether automation may look for a move upwards: only then measures are needed."""
    migration, proposal = state.flags.migration, state.proposal
    waits = proposal is not None and now < proposal.expires_at
    free = migration.auto_advance and not state.held and not waits and share(state) > 0
    return judgement.action is Action.GO_ON and free and next_up(state, now) is not None


def decision_about(
    judgement: Judgement, evidence: Evidence, inputs: Inputs, state: Snapshot
) -> AutomaticDecision | None:
    """What is to be done about a judgement; None: nothing."""
    match judgement.action:
        case Action.HOLD:
            if judgement.hold_reason in inputs.held:
                return None
            return AutomaticDecision(ChangeName.HOLD, accepted(ReplyCode.HELD, judgement.reason))
        case Action.STEP_BACK | Action.ROLL_BACK:
            return _down(judgement, inputs, state)
        case Action.GO_ON:
            return _up(evidence, inputs, state)
    assert_never(judgement.action)


def _down(judgement: Judgement, inputs: Inputs, state: Snapshot) -> AutomaticDecision:
    after = went_down(judgement, state, inputs.at)
    back = judgement.action is Action.STEP_BACK
    code = ReplyCode.STEPPED_BACK if back else ReplyCode.ROLLED_BACK
    text = f"now {describe(after)}: {after.notes}"
    return AutomaticDecision(code, accepted(code, text, after))


def _up(evidence: Evidence, inputs: Inputs, state: Snapshot) -> AutomaticDecision | None:
    following = next_up(state, inputs.at)
    if inputs.measures is None or following is None:
        return None
    change = following.kind(Request(AUTOMATIC, AccessRole.ADMINISTRATOR, "every gate is open"))
    measures = replace(inputs.measures, evidence=evidence)
    decision = decide(change, state, measures, inputs.at)
    if not decision.accepted or decision.after is None:
        return None
    return AutomaticDecision(f"automatic-{change.name}", decision)
