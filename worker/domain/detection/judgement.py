"""What automation does about the evidence: the decision table.

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

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.domain.detection import evidence
from worker.domain.detection.evidence import Evidence, Setting
from worker.domain.detection.signals import SIGNALS, Signal
from worker.domain.migration.direction import share
from worker.domain.migration.phases import FULL_SHARE, WAY_UP, Phase, Role, requirements_at
from worker.domain.migration.snapshot import AUTOMATIC, Lock, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.detection.sick_replica import SickReplica
    from worker.domain.migration.flags import Flags, Thresholds
    from worker.domain.migration.snapshot import Snapshot

BREAKER_S: Final = 60.0
DEEP: Final = 50
FIRST_LOCK: Final = timedelta(minutes=30)
LONGEST_LOCK: Final = timedelta(hours=24)
REMEMBERED: Final = timedelta(days=30)
"""Automatic moves further back no longer lengthen a lock."""
WEEK: Final = timedelta(days=7)
AT_MOST: Final = 2
"""Automatic moves within a week after which the lock ends by itself; the next needs a person."""


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


class Topic(StrEnum):
    """What a hold is about: stable from tick to tick, and the code of its alert."""

    COMMON_TROUBLE = "common-trouble"
    """Bad, and legacy is no better."""
    UNDECIDED = "undecided"
    """Bad, and not sure enough to act: legacy is not proved any better, or nothing fails now."""
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
    topic: Topic | None = None
    """Of a hold."""


def _hold(topic: Topic, reason: str) -> Judgement:
    return Judgement(Action.HOLD, f"hold: {reason}", topic)


@dataclass(frozen=True, slots=True)
class Window:
    """The target over the window of the policy `threshold`."""

    accepted: int = 0
    errors: int = 0
    p95_ms: float | None = None
    since: float | None = None
    """Where it begins, seconds since the epoch; None: not recorded."""

    def begins_before(self, moment: float | None) -> bool:
        """Whether it holds outcomes from before that moment."""
        return self.since is not None and moment is not None and self.since < moment


def setting_of(
    state: Snapshot,
    reports: Mapping[Role, bool],
    delivery_age_s: float,
    providers: tuple[str, str] = ("", ""),
) -> Setting:
    """What the outcomes are held against under this state."""
    flags = state.flags
    most_errors = flags.thresholds.max_error_rate / 100.0
    least_success = (100.0 - flags.thresholds.min_success_rate) / 100.0
    within = flags.migration.worse_by_at_most
    return Setting(
        share=share(state),
        since=state.since.timestamp() if state.since else None,
        anew=state.anew,
        providers=providers,
        legacy_enabled=state.flags.legacy_enabled,
        bounds=((most_errors, least_success), (0.05,), (_undelivered(flags, state.phase),)),
        margins=(within.failed / 100.0, within.slow / 100.0, within.undelivered / 100.0),
        slow_ms=flags.thresholds.max_response_ms,
        reports=(reports[Role.TARGET], reports[Role.LEGACY]),
        delivery_age_s=delivery_age_s,
        grace_s=flags.rollback_grace_s,
    )


def _undelivered(flags: Flags, phase: Phase) -> float:
    """Tolerated by what the phases require."""
    wanted = requirements_at(flags.phases, phase)
    return 0.02 if wanted is None else (100.0 - wanted.min_delivery_rate) / 100.0


def judge(known: Evidence, state: Snapshot) -> Judgement:
    """By the evidence."""
    if (first := _outside_statistics(known, state)) is not None:
        return first
    found = _by_alarms(known, state)
    if not found.action.down:
        return found
    return _in_grace(known, state) or found


def _by_alarms(known: Evidence, state: Snapshot) -> Judgement:
    worse = [s for s in SIGNALS if evidence.relative_alarm(known, s)]
    bad = [s for s in SIGNALS if evidence.absolute_alarm(known, s)]
    if known.sick_replica is not None and Signal.FAILED in (*worse, *bad):
        return _of_one_replica(known.sick_replica, worse, bad, known, state)
    return _by_signals(worse, bad, known, state)


def _of_one_replica(
    sick: SickReplica, worse: list[Signal], bad: list[Signal], known: Evidence, state: Snapshot
) -> Judgement:
    """The alarm about failed calls is the replica's; what else there is acts all the same."""
    others = (Signal.SLOW, Signal.UNDELIVERED)
    worse, bad = ([s for s in others if s in signals] for signals in (worse, bad))
    found = _by_signals(worse, bad, known, state)
    return found if found.action.down else _hold(Topic.SICK_REPLICA, sick.words)


def _by_signals(
    worse: list[Signal], bad: list[Signal], known: Evidence, state: Snapshot
) -> Judgement:
    if worse:
        severe = bool(set(worse) & set(bad))
        action = Action.ROLL_BACK if severe else Action.STEP_BACK
        words = _words(worse, "worse than legacy")
        if severe:
            words += f" and {_words([s for s in worse if s in bad], 'bad in itself')}"
        return _alarmed(action, words, worse, known, state)
    if bad:
        return _bad_in_itself(bad, known, state)
    return _breaker(known, state)


def _in_grace(known: Evidence, state: Snapshot) -> Judgement | None:
    """The hold that a person chose instead of going down at once; None: it is over, or not chosen.

    For calls that fail alone: they go to the other provider meanwhile. What is lost does not.
    """
    since, lost = known.grace_since, evidence.relative_alarm(known, Signal.UNDELIVERED)
    if since is None or lost:
        return None
    text = (
        f"calls to the target fail, and legacy carries the messages: waiting "
        f"{since + state.flags.rollback_grace_s - known.at:.0f} s more for it to come back "
        f"(RollbackGraceSeconds)"
    )
    return _hold(Topic.UNDECIDED, text)


def _outside_statistics(known: Evidence, state: Snapshot) -> Judgement | None:
    """What is decided whatever the figures are; None: the figures decide."""
    if not share(state):
        return Judgement(Action.GO_ON, "the target has no share")
    if known.account_fault:
        return _hold(Topic.ACCOUNT, f"the target refuses our account: {known.account_fault}")
    return None


def _bad_in_itself(bad: list[Signal], known: Evidence, state: Snapshot) -> Judgement:
    """Bad, and not worse than legacy as far as can be seen."""
    words = _words(bad, "bad in itself")
    if Signal.FAILED in bad and evidence.legacy_is_good(known):
        words += "; legacy was proved good in the same time"
        return _alarmed(Action.ROLL_BACK, words, [Signal.FAILED], known, state)
    broken = _breaker(known, state)
    if broken.action.down:
        return broken
    if share(state) == FULL_SHARE and not evidence.legacy_is_bad(known):
        text = f"{words}; how legacy does is not known, for nothing goes there"
        return _hold(Topic.UNDECIDED, text)
    if any(evidence.relative_suspicion(known, s) for s in bad):
        return _hold(Topic.UNDECIDED, f"{words}; worse than legacy, as it seems: not proved yet")
    return _hold(Topic.COMMON_TROUBLE, f"common trouble: {words}, legacy is no better")


def _alarmed(
    action: Action, words: str, signals: list[Signal], known: Evidence, state: Snapshot
) -> Judgement:
    """Act on an alarm while what it is about goes on; afterwards only show it."""
    found = _with_a_way_back(action, words, known, state)
    acts = found.action.down and state.flags.automatic_rollback
    if not acts or evidence.goes_on(known, signals):
        return found
    text = f"{words}; but none of it for over {evidence.NEWS_S:g} s: not acted on"
    return _hold(Topic.UNDECIDED, text)


def _breaker(known: Evidence, state: Snapshot) -> Judgement:
    since = known.breaker_since
    if since is not None and known.at - since > BREAKER_S:
        words = f"the target's breaker is open for over {BREAKER_S:g} s"
        if not known.legacy_answers:
            text = f"common trouble: {words}, and legacy does not answer either"
            return _hold(Topic.COMMON_TROUBLE, text)
        action = Action.ROLL_BACK if share(state) >= DEEP else Action.STEP_BACK
        return _with_a_way_back(action, words, known, state)
    return _watched(known, state, "no alarm")


def _watched(known: Evidence, state: Snapshot, otherwise: str) -> Judgement:
    """Nothing leads down; what forbids to go on all the same."""
    if known.unreported[0]:
        words = "not one delivery report of the target comes; see that they reach the webhook"
        return _hold(Topic.REPORTS_MISSING, words)
    if evidence.misassigned(known):
        words = f"the share realised is not the {share(state)} % configured"
        return _hold(Topic.MISASSIGNED, words)
    return Judgement(Action.GO_ON, otherwise)


def _with_a_way_back(action: Action, words: str, known: Evidence, state: Snapshot) -> Judgement:
    if not state.rollback_available:
        text = f"{words}; legacy is not enabled: there is no way back"
        return _hold(Topic.NO_WAY_BACK, text)
    if evidence.legacy_is_bad(known) or known.legacy_open:
        return _hold(Topic.COMMON_TROUBLE, f"common trouble: {words}, and legacy is bad too")
    if action is Action.STEP_BACK and last_proven(state) is None:
        return Judgement(Action.ROLL_BACK, f"{words}; no lower share was proven")
    return Judgement(action, words)


def permitted(found: Judgement, state: Snapshot) -> Judgement:
    """What is done of it: with `EnableAutomaticRollback` off, going down is only asked for."""
    if not found.action.down or state.flags.automatic_rollback:
        return found
    text = f"{found.action} wanted: {found.reason}; EnableAutomaticRollback is false"
    return _hold(Topic.ROLLBACK_WANTED, text)


def _words(signals: list[Signal], what: str) -> str:
    return f"{' and '.join(str(s) for s in signals)}: {what}"


def judge_window(window: Window, known: Evidence, state: Snapshot) -> Judgement:
    """By the policy `threshold`: rates within a window, as the replaced system had it.

    What is no statistics is as under the other policy: our account, missing reports, the way back.
    So are failed calls of one replica alone.
    """
    if (first := _outside_statistics(known, state)) is not None:
        return first
    bounds, outcomes = state.flags.thresholds, window.accepted + window.errors
    if outcomes < bounds.minimum_sample:
        return _watched(known, state, f"{outcomes} of {bounds.minimum_sample} outcomes")
    failed, slow = _failed(window, bounds), _slow(window, bounds)
    if window.begins_before(known.failed_from):
        failed = []  # not by the target's fault
    if not failed and not slow:
        return _watched(known, state, "within the thresholds")
    if known.sick_replica is not None and not slow:
        return _hold(Topic.SICK_REPLICA, known.sick_replica.words)
    words = f"{', '.join(failed + slow)} over {bounds.window_min:g} min"
    return _with_a_way_back(Action.ROLL_BACK, words, known, state)


def _failed(window: Window, bounds: Thresholds) -> list[str]:
    errors = 100.0 * window.errors / (window.accepted + window.errors)
    found = []
    if errors > bounds.max_error_rate:
        found.append(f"errors {errors:.2f} % > {bounds.max_error_rate:g} %")
    if 100.0 - errors < bounds.min_success_rate:
        found.append(f"success {100.0 - errors:.2f} % < {bounds.min_success_rate:g} %")
    return found


def _slow(window: Window, bounds: Thresholds) -> list[str]:
    if window.p95_ms is None or window.p95_ms <= bounds.max_response_ms:
        return []
    return [f"p95 {window.p95_ms:g} ms > {bounds.max_response_ms:g} ms"]


# --- going down ----------------------------------------------------------------------------


def last_proven(state: Snapshot) -> int | None:
    """The highest proven share below the present one."""
    return max((at for at in state.proven if 0 < at < share(state)), default=None)


def went_down(judgement: Judgement, state: Snapshot, now: datetime) -> Snapshot:
    """The state after an automatic step back or rollback; it says what was done and why."""
    to = last_proven(state) if judgement.action is Action.STEP_BACK else None
    phase = _highest_phase(state, to)
    to = to if phase is not Phase.ROLLBACK else None
    moved = phase is not state.phase
    last = {**state.last_percentages, state.phase: state.percentage}
    downs = (*(at for at in state.automatic_downs if now - at < REMEMBERED), now)
    return replace(
        state,
        version=state.version + 1,
        phase=phase,
        percentage=to or 0,
        proposal=None,
        lock=lock_after(downs, judgement.reason, now),
        initiated_by=AUTOMATIC,
        notes=f"{judgement.action} from {describe(state)}: {judgement.reason}",
        previous_phase=state.phase if moved else state.previous_phase,
        started_at=now if moved else state.started_at,
        since=now,
        last_percentages=MappingProxyType(last) if moved else state.last_percentages,
        proven=tuple(at for at in state.proven if to is not None and at < share(state)),
        automatic_downs=downs,
        anew=state.anew + 1,
    )


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
    if sum(now - at < WEEK for at in downs) > AT_MOST:
        return Lock(None, f"third automatic move within 7 days ({reason}): a person must unlock")
    length = min(LONGEST_LOCK, FIRST_LOCK * 2 ** (len(downs) - 1))
    until = now + length
    return Lock(until, f"until {until:%Y-%m-%d %H:%M:%S} UTC: {reason}")
