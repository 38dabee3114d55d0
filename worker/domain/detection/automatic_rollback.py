"""What rolls back, steps back or holds by itself: the decision table of automation.

Rules: pure, and total: every evidence in every state gets a judgement with its reason. Automation
goes down by itself, holds, or goes on; `automation` asks the gates for a way up. It goes
down only where legacy can take the traffic: blame without a way back is no help.

| worse than legacy | bad in itself | action |
|---|---|---|
| alarm | alarm | roll back to 0 %, lock |
| alarm | - | step back to the last proven share, lock; none proven: roll back |
| - | alarm | common trouble: hold; roll back only where legacy was proved good meanwhile |
| - | - | go on |

With `RollbackGraceSeconds`, calls that fail or are slow hold for so long instead.
A target breaker open for `BREAKER_S` with a healthy legacy goes down too: at `DEEP` and above all
the way, below it by a step. Where both providers are bad, the split is held and single messages
fail over. A fault of our account with the target (credentials, balance, configured sender) holds at
once, outside statistics. Where the calls of one replica alone fail (`sick_replica`), an alarm about
failed calls holds and names it; any other acts. An alarm whose cause did not show for a minute is
not acted on. With `EnableAutomaticRollback` off, going down is only asked for.
At 100 % nothing goes to legacy: failures lead down where its probes prove it good, anything else is
undecided and holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from worker.domain.detection import readings
from worker.domain.detection.signals import SIGNALS, Signal
from worker.domain.migration.direction import last_proven, share
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from worker.domain.detection.evidence import Evidence
    from worker.domain.detection.sick_replica import SickReplica
    from worker.domain.migration.snapshot import Snapshot

BREAKER_S: Final = 60.0
"""An open breaker of the target leads down after that long."""
DEEP: Final = 50
"""From this share on, per cent, it leads down all the way."""


class Action(StrEnum):
    """What automation does."""

    GO_ON = "go on"
    HOLD = "hold"
    STEP_BACK = "step back"
    ROLL_BACK = "roll back"

    @property
    def down(self) -> bool:
        """Whether it takes traffic away from the target."""
        return self in (Action.STEP_BACK, Action.ROLL_BACK)


class HoldReason(StrEnum):
    """What a hold is about: stable from tick to tick, and the code of its alert."""

    COMMON_TROUBLE = "common-trouble"
    """Bad, and legacy is no better."""
    UNDECIDED = "undecided"
    """Bad, and not sure enough to act: legacy is not proved any better, nothing fails now, or a
    restart is waited out."""
    NO_WAY_BACK = "no-way-back"
    """Bad, and legacy is not enabled."""
    ROLLBACK_WANTED = "rollback-wanted"
    """Going down is due, and `EnableAutomaticRollback` forbids it."""
    ACCOUNT = "account-fault"
    """The target refuses our account. The replica that was told alerts, at once."""
    REPORTS_MISSING = "reports-missing"
    """Not one delivery report of the target comes: whether messages arrive is not known."""
    MISASSIGNED = "misassigned"
    """The share realised is not the one configured."""
    SICK_REPLICA = "sick-replica"
    """Bad, and the calls of one replica alone fail."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """An action and why."""

    action: Action
    reason: str
    hold_reason: HoldReason | None = None
    """Of a hold."""


def hold(hold_reason: HoldReason, reason: str) -> Judgement:
    """A hold, with what people read of it."""
    return Judgement(Action.HOLD, f"hold: {reason}", hold_reason)


def judge(evidence: Evidence, state: Snapshot) -> Judgement:
    """By the evidence."""
    if (first := outside_statistics(evidence, state)) is not None:
        return first
    found = _by_alarms(evidence, state)
    if not found.action.down:
        return found
    return _in_grace(evidence, state) or found


def _by_alarms(evidence: Evidence, state: Snapshot) -> Judgement:
    worse = [s for s in SIGNALS if readings.relative_alarm(evidence, s)]
    bad = [s for s in SIGNALS if readings.absolute_alarm(evidence, s)]
    if evidence.sick_replica is not None and (Signal.FAILED in worse or Signal.FAILED in bad):
        return _of_one_replica(evidence.sick_replica, worse, bad, evidence, state)
    return _by_signals(worse, bad, evidence, state)


def _of_one_replica(
    sick: SickReplica, worse: list[Signal], bad: list[Signal], evidence: Evidence, state: Snapshot
) -> Judgement:
    """The alarm about failed calls is the replica's; what else there is acts all the same."""
    others = (Signal.SLOW, Signal.UNDELIVERED)
    worse, bad = ([s for s in others if s in signals] for signals in (worse, bad))
    found = _by_signals(worse, bad, evidence, state)
    return found if found.action.down else hold(HoldReason.SICK_REPLICA, sick.words)


def _by_signals(
    worse: list[Signal], bad: list[Signal], evidence: Evidence, state: Snapshot
) -> Judgement:
    if worse:
        severe = bool(set(worse) & set(bad))
        action = Action.ROLL_BACK if severe else Action.STEP_BACK
        words = _words(worse, "worse than legacy")
        if severe:
            words += f" and {_words([s for s in worse if s in bad], 'bad in itself')}"
        return _alarmed(action, words, worse, evidence, state)
    if bad:
        return _bad_in_itself(bad, evidence, state)
    return _breaker(evidence, state)


def _in_grace(evidence: Evidence, state: Snapshot) -> Judgement | None:
    """The hold that a person chose instead of going down at once; None: it is over, or not chosen.

    Only for calls that fail or are slow: their messages go to the other provider meanwhile. What
    is lost does not.
    """
    since, lost = evidence.grace_since, readings.relative_alarm(evidence, Signal.UNDELIVERED)
    if since is None or lost:
        return None
    text = (
        f"calls to the target fail or are slow, and legacy carries the messages: waiting "
        f"{since + state.flags.rollback_grace_s - evidence.at:.0f} s more for it to come back "
        f"(RollbackGraceSeconds)"
    )
    return hold(HoldReason.UNDECIDED, text)


def outside_statistics(evidence: Evidence, state: Snapshot) -> Judgement | None:
    """What is decided whatever the figures are; None: the figures decide."""
    if not share(state):
        return Judgement(Action.GO_ON, "the target has no share")
    if evidence.account_fault:
        return hold(HoldReason.ACCOUNT, f"the target refuses our account: {evidence.account_fault}")
    return None


def _bad_in_itself(bad: list[Signal], evidence: Evidence, state: Snapshot) -> Judgement:
    """Bad, and not worse than legacy as far as can be seen."""
    words = _words(bad, "bad in itself")
    if Signal.FAILED in bad and readings.legacy_is_good(evidence):
        words += "; legacy was proved good in the same time"
        return _alarmed(Action.ROLL_BACK, words, [Signal.FAILED], evidence, state)
    broken = _breaker(evidence, state)
    if broken.action.down:
        return broken
    if share(state) == FULL_SHARE and not readings.legacy_is_bad(evidence):
        text = f"{words}; how legacy does is not known, for nothing goes there"
        return hold(HoldReason.UNDECIDED, text)
    if any(readings.relative_suspicion(evidence, s) for s in bad):
        return hold(
            HoldReason.UNDECIDED, f"{words}; worse than legacy, as it seems: not proved yet"
        )
    return hold(HoldReason.COMMON_TROUBLE, f"common trouble: {words}, legacy is no better")


def _alarmed(
    action: Action, words: str, signals: list[Signal], evidence: Evidence, state: Snapshot
) -> Judgement:
    """Act on an alarm while what it is about goes on; afterwards only show it."""
    found = with_a_way_back(action, words, evidence, state)
    acts = found.action.down and state.flags.automatic_rollback
    if not acts or readings.goes_on(evidence, signals):
        return found
    text = f"{words}; but none of it for over {readings.NEWS_S:g} s: not acted on"
    return hold(HoldReason.UNDECIDED, text)


def _breaker(evidence: Evidence, state: Snapshot) -> Judgement:
    since = evidence.breaker_since
    if since is not None and evidence.at - since > BREAKER_S:
        words = f"the target's breaker is open for over {BREAKER_S:g} s"
        if not evidence.legacy_answers:
            text = f"common trouble: {words}, and legacy does not answer either"
            return hold(HoldReason.COMMON_TROUBLE, text)
        action = Action.ROLL_BACK if share(state) >= DEEP else Action.STEP_BACK
        return with_a_way_back(action, words, evidence, state)
    return watched(evidence, state, "no alarm")


def watched(evidence: Evidence, state: Snapshot, otherwise: str) -> Judgement:
    """Nothing leads down; what forbids to go on all the same."""
    if evidence.unreported[0]:
        words = "not one delivery report of the target comes; see that they reach the webhook"
        return hold(HoldReason.REPORTS_MISSING, words)
    if readings.misassigned(evidence):
        words = f"the share realised is not the {share(state)} % configured"
        return hold(HoldReason.MISASSIGNED, words)
    return Judgement(Action.GO_ON, otherwise)


def with_a_way_back(action: Action, words: str, evidence: Evidence, state: Snapshot) -> Judgement:
    """The action, or a hold where legacy cannot take the traffic."""
    if not state.rollback_available:
        text = f"{words}; legacy is not enabled: there is no way back"
        return hold(HoldReason.NO_WAY_BACK, text)
    if readings.legacy_is_bad(evidence) or evidence.legacy_open:
        return hold(HoldReason.COMMON_TROUBLE, f"common trouble: {words}, and legacy is bad too")
    if action is Action.STEP_BACK and last_proven(state) is None:
        return Judgement(Action.ROLL_BACK, f"{words}; no lower share was proven")
    return Judgement(action, words)


def permitted(found: Judgement, state: Snapshot) -> Judgement:
    """What is done of it: with `EnableAutomaticRollback` off, going down is only asked for."""
    if not found.action.down or state.flags.automatic_rollback:
        return found
    text = f"{found.action} wanted: {found.reason}; EnableAutomaticRollback is false"
    return hold(HoldReason.ROLLBACK_WANTED, text)


def _words(signals: list[Signal], what: str) -> str:
    return f"{' and '.join(str(s) for s in signals)}: {what}"
