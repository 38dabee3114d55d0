"""In which condition the migration is: one word, which every card starts from.

Rules: the first that holds counts, in the order of `Condition`: what is not known comes before what
is bad, and that before what is good. Too little data is a condition of its own, never a good one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from worker.console.known import UNKNOWN_S, Cause
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.migration.gate_names import GateName
from worker.domain.migration.phases import LEGACY_ALONE, Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.control_views import StateView
    from worker.console.pages.facts import Facts


class Condition(StrEnum):
    """The condition, the most urgent first."""

    BROKER_AWAY = "broker away"
    LOGIN_REFUSED = "login refused"
    NO_WORKER = "no worker"
    NO_ANSWER_YET = "no answer yet"
    """The console has just started to ask."""
    STORE_AWAY = "store away"
    STALE = "stale"
    """The newest answer is too old for a verdict."""
    LOCKED = "locked"
    """After an automatic rollback or step back."""
    TROUBLE = "trouble"
    """The target is worse than legacy, and automation does not or may not go down."""
    COMMON_TROUBLE = "common trouble"
    HOLD = "hold"
    """The monitor holds automation for another reason."""
    NOT_STARTED = "not started"
    ROLLED_BACK = "rolled back"
    """By a person: no lock is in force."""
    NO_TRAFFIC = "no traffic"
    """The target has a role and takes nothing."""
    BLIND = "blind"
    """The monitor has not looked lately."""
    SUSPECT = "suspect"
    """A detector is above the half of its alarm."""
    TOO_EARLY = "too early"
    SHORT = "short"
    """No alarm, and a requirement of the next phase is not met."""
    HEALTHY = "healthy"

    @property
    def is_known(self) -> bool:
        """Whether the workers told the present state."""
        return self not in _NOT_KNOWN

    @property
    def is_silent(self) -> bool:
        """Whether no command can be given, because nobody answers."""
        return self in _NOT_KNOWN and self is not Condition.STORE_AWAY


_NOT_KNOWN: Final = frozenset(
    {
        Condition.BROKER_AWAY,
        Condition.LOGIN_REFUSED,
        Condition.NO_WORKER,
        Condition.NO_ANSWER_YET,
        Condition.STORE_AWAY,
        Condition.STALE,
    }
)
_SILENT: Final = {
    Cause.BROKER_AWAY: Condition.BROKER_AWAY,
    Cause.LOGIN_REFUSED: Condition.LOGIN_REFUSED,
    Cause.NO_WORKER: Condition.NO_WORKER,
}
BLIND_S: Final = 60.0
"""Age of the monitor's look from which on it tells nothing about the present."""
FORBIDDEN: Final = frozenset({HoldReason.ROLLBACK_WANTED, HoldReason.NO_WAY_BACK})
"""Holds in which going down is due, and automation may not or cannot."""
PROOFS: Final = (
    GateName.EVIDENCE,
    GateName.FAILED_PROOF,
    GateName.SLOW_PROOF,
    GateName.UNDELIVERED_PROOF,
)
"""Gates without which nothing is known about the share."""
REQUIREMENTS: Final = (GateName.SUCCESS, GateName.ERRORS, GateName.RESPONSE, GateName.DELIVERY)
_LEAST: Final = 100
"""Fewer outcomes tell nothing, where no gate says how many are missing."""


def condition(facts: Facts) -> Condition:
    """The condition at this moment."""
    return next(_conditions(facts), Condition.HEALTHY)


def _conditions(facts: Facts) -> Iterator[Condition]:
    known = facts.known
    if known.silence is not None:
        yield _SILENT[known.silence.cause]
    if known.status is None or facts.state is None:
        yield Condition.NO_ANSWER_YET
        return
    if known.store_away:
        yield Condition.STORE_AWAY
    if known.age(known.status) > UNKNOWN_S:
        yield Condition.STALE
    if is_locked(facts, facts.state):
        yield Condition.LOCKED
    yield from _held(facts)
    yield from _without_traffic(facts, facts.state)
    yield from _by_outcomes(facts)


def is_locked(facts: Facts, state: StateView) -> bool:
    """Whether a lock is in force."""
    lock = state.lock
    if lock is not None:
        return lock.until is None or lock.until > facts.at
    gate = facts.gate(GateName.LOCK)
    return gate is not None and gate.verdict == "fail"


def _held(facts: Facts) -> Iterator[Condition]:
    monitor = facts.monitor
    reason = monitor.hold_reason if monitor else None
    if reason in FORBIDDEN:
        yield Condition.TROUBLE
    if reason == HoldReason.COMMON_TROUBLE:
        yield Condition.COMMON_TROUBLE
    if monitor and monitor.holding:
        yield Condition.HOLD
    if facts.share and any(s.relative.value >= s.relative.alarm for s in facts.signals.values()):
        yield Condition.TROUBLE


def _without_traffic(facts: Facts, state: StateView) -> Iterator[Condition]:
    if facts.share:
        return
    if state.phase == Phase.NOT_STARTED:
        yield Condition.NOT_STARTED
    elif state.phase in LEGACY_ALONE:
        yield Condition.ROLLED_BACK
    yield Condition.NO_TRAFFIC


def _by_outcomes(facts: Facts) -> Iterator[Condition]:
    looked = facts.looked_at
    if looked is None or (facts.at - looked).total_seconds() > BLIND_S:
        yield Condition.BLIND
    if any(_above_half(facts)):
        yield Condition.SUSPECT
    proofs = [facts.gate(name) for name in PROOFS]
    if any(gate and gate.verdict == "not enough data" for gate in proofs):
        yield Condition.TOO_EARLY
    if not facts.gates and _outcomes(facts) < _LEAST:
        yield Condition.TOO_EARLY
    if any(gate and gate.verdict == "fail" for gate in map(facts.gate, REQUIREMENTS)):
        yield Condition.SHORT


def _above_half(facts: Facts) -> Iterator[bool]:
    for signal in facts.signals.values():
        for detector in (signal.relative, signal.absolute):
            yield detector.value > detector.alarm / 2


def _outcomes(facts: Facts) -> float:
    return max((signal.target_total for signal in facts.signals.values()), default=0.0)
