"""Where an automatic step back or rollback leads, and for how long it locks the way up.

Rules: pure. Down to the last share whose gates passed, else to 0 %.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from worker.domain.detection.automatic_rollback import Action, Judgement
from worker.domain.migration.direction import last_proven, share
from worker.domain.migration.phases import WAY_UP, Phase
from worker.domain.migration.snapshot import AUTOMATIC, Lock, Snapshot, describe
from worker.domain.migration.stamping import moved

FIRST_LOCK: Final = timedelta(minutes=30)
LONGEST_LOCK: Final = timedelta(hours=24)
REMEMBERED: Final = timedelta(days=30)
"""Automatic moves further back no longer lengthen a lock."""
WEEK: Final = timedelta(days=7)
AT_MOST: Final = 2
"""Automatic moves within a week after which the lock ends by itself; the next needs a person."""


def went_down(judgement: Judgement, state: Snapshot, now: datetime) -> Snapshot:
    """The state after an automatic step back or rollback; it says what was done and why."""
    to = last_proven(state) if judgement.action is Action.STEP_BACK else None
    phase = _highest_phase(state, to)
    to = to if phase is not Phase.ROLLBACK else None
    downs = (*(at for at in state.automatic_downs if now - at < REMEMBERED), now)
    wanted = replace(
        state,
        phase=phase,
        percentage=to or 0,
        proposal=None,
        lock=lock_after(downs, judgement.reason, now),
        initiated_by=AUTOMATIC,
        notes=f"{judgement.action} from {describe(state)}: {judgement.reason}",
        proven=tuple(at for at in state.proven if to is not None and at < share(state)),
        automatic_downs=downs,
        anew=state.anew + 1,
    )
    return moved(state, wanted, now, shifted=True)


def _highest_phase(state: Snapshot, percentage: int | None) -> Phase:
    """The highest phase, not above the present one, whose range holds the share; else Rollback."""
    if percentage is None:
        return Phase.ROLLBACK
    until = WAY_UP[: WAY_UP.index(state.phase) + 1]
    rules = state.flags.phases
    fitting = (phase for phase in reversed(until) if rules[phase].allows(percentage))
    return next(fitting, Phase.ROLLBACK)


def lock_after(downs: tuple[datetime, ...], reason: str, now: datetime) -> Lock:
    """30 min, doubling, at most 24 h; the third within a week waits for a person."""
    of_late = sum(now - at < WEEK for at in downs)
    if of_late > AT_MOST:
        text = f"{of_late} automatic moves within 7 days ({reason}): a person must unlock"
        return Lock(None, text)
    length = min(LONGEST_LOCK, FIRST_LOCK * 2 ** (len(downs) - 1))
    until = now + length
    return Lock(until, f"until {until:%Y-%m-%d %H:%M:%S} UTC: {reason}")
