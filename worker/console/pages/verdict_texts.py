"""The sentence of the verdict card for each condition: value, bound and sample.

Rules: a sentence claims only what gates or detectors say. A proof that is missing is named.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.console import formats, wording
from worker.console.pages import lately, taken_back
from worker.console.pages.condition import PROOFS, REQUIREMENTS, Condition
from worker.console.pages.parts import When, listed
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.signals import Signal
from worker.domain.migration.gate_names import GateName
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from contracts.answers import SignalStatus
    from contracts.control_views import GateView
    from worker.console.pages.facts import Facts
    from worker.console.pages.parts import Line

_PROVES: Final[Mapping[str, str]] = MappingProxyType(
    {
        GateName.FAILED_PROOF: "prove failures low",
        GateName.SLOW_PROOF: "prove slowness low",
        GateName.UNDELIVERED_PROOF: "prove delivery good",
    }
)
_COMPARED: Final[Mapping[str, str]] = MappingProxyType(
    {
        GateName.FAILED_COMPARISON: "failures",
        GateName.SLOW_COMPARISON: "speed",
        GateName.UNDELIVERED_PROOF: "delivery",
    }
)


def _broker_away(_: Facts) -> Line:
    return ("The broker does not answer. The page shows what was known before.",)


def _login_refused(_: Facts) -> Line:
    return ("The broker refuses your login now. The page shows what was known before.",)


def _no_worker(_: Facts) -> Line:
    return ("Nothing is sent; messages wait in the broker.",)


def _no_answer_yet(_: Facts) -> Line:
    return ("The workers are being asked.",)


def _store_away(_: Facts) -> Line:
    return ("MongoDB does not answer. Nothing is sent; messages wait in the broker.",)


def _stale(facts: Facts) -> Line:
    told = facts.known.status
    if told is None:
        return ("There was no answer yet.",)
    at = facts.known.moment(told.at, facts.at)
    return ("The newest answer is from ", When(at, seconds=True), ".")


def _locked(facts: Facts) -> Line:
    decision = taken_back.last(facts.known)
    said = " ".join(_alarms(decision.signals, facts.legacy)) if decision else ""
    if said:
        return (said,)
    lock = facts.state.lock if facts.state else None
    return (wording.lock(lock.reason) if lock else "Automation took traffic back.",)


def _trouble(facts: Facts) -> Line:
    monitor = facts.monitor
    alarms = " ".join(_alarms(facts.signals, facts.legacy))
    why = wording.hold(monitor.hold_reason if monitor else None, facts.target, facts.legacy)
    return (alarms or why or f"{facts.target} is worse than {facts.legacy}.",)


def _common_trouble(facts: Facts) -> Line:
    stays = wording.remedy(HoldReason.COMMON_TROUBLE, facts.legacy)
    failed = facts.signals.get(str(Signal.FAILED))
    rates = lately.failed(facts)
    if rates and (failed is None or failed.absolute.value >= failed.absolute.alarm):
        ours, theirs = (formats.percent(each) for each in rates)
        return (f"{facts.target} fails {ours}, {facts.legacy} {theirs}. {stays}",)
    alarms = " ".join(_alarms(facts.signals, facts.legacy))
    return (f"{alarms} {facts.legacy} is no better. {stays}".strip(),)


def _hold(facts: Facts) -> Line:
    monitor = facts.monitor
    reason = monitor.hold_reason if monitor else None
    told = wording.holding((monitor.holding if monitor else None) or "", facts.target)
    if reason == HoldReason.SICK_REPLICA:
        return (told,)
    text = (
        told if reason == HoldReason.ACCOUNT else wording.hold(reason, facts.target, facts.legacy)
    )
    return (f"{text} {wording.remedy(reason, facts.legacy)}".strip() or told,)


def _not_started(facts: Facts) -> Line:
    return (f"All messages go to {facts.legacy}. {_legacy_accepts(facts)}",)


def _legacy_accepts(facts: Facts) -> str:
    told = facts.known.comparison
    legacy = told.data.providers.get(facts.legacy_id) if told else None
    if legacy is None or legacy.success_rate.percent is None:
        return ""
    rate = formats.percent(legacy.success_rate.percent)
    return f"{facts.legacy}: {rate} accepted in the last hour."


def _blind(facts: Facts) -> Line:
    looked = facts.looked_at
    if looked is None:
        return ("The monitor has not looked at the outcomes yet.",)
    return ("The monitor has not looked at the outcomes since ", When(looked, seconds=True), ".")


def _suspect(facts: Facts) -> Line:
    text = "; ".join(_suspicions(facts.signals, facts.legacy))
    return (f"{text}: above half of the alarm. Nothing goes up.",)


def _suspicions(signals: Mapping[str, SignalStatus], legacy: str) -> Iterator[str]:
    for name, signal in signals.items():
        kinds = ((signal.relative, f"worse than {legacy}"), (signal.absolute, "bad in itself"))
        for detector, kind in kinds:
            if detector.value > detector.alarm / 2:
                measured = f"{detector.value:.1f} of {detector.alarm:.1f}"
                yield f"{wording.signal(name)}: {kind} {measured}"


def _too_early(facts: Facts) -> Line:
    failed = facts.signals.get(str(Signal.FAILED))
    so_far = formats.count(failed.target_total if failed else 0)
    gate = next(_without_data(facts, PROOFS), None)
    return (f"{so_far} messages so far. No alarm. {_still_missing(gate)}".strip(),)


def _without_data(facts: Facts, names: Iterable[str]) -> Iterator[GateView]:
    for gate in map(facts.gate, names):
        if gate and gate.verdict == "not enough data":
            yield gate


def _still_missing(gate: GateView | None) -> str:
    if gate is None:
        return ""
    proves = _PROVES.get(gate.gate)
    if proves and gate.missing_outcomes:
        return f"About {formats.about(gate.missing_outcomes)} more {proves}."
    if proves is None:
        return "The monitor has not looked at this share yet."
    return f"{wording.gate(gate.gate)}: {gate.missing}." if gate.missing else ""


def _short(facts: Facts) -> Line:
    asked = [gate for gate in map(facts.gate, REQUIREMENTS) if gate and gate.verdict == "fail"]
    return (f"No alarm. {'; '.join(map(_required, asked))}.",)


def _required(gate: GateView) -> str:
    sample = f" of {formats.count(gate.sample)}" if gate.sample is not None else ""
    name, required = wording.gate(gate.gate), wording.measure(gate.required)
    return f"{name} {wording.measure(gate.measured)}{sample}, required {required}"


def _healthy(facts: Facts) -> Line:
    if facts.share == FULL_SHARE:
        return (f"No alarm. No comparison at 100 %: {facts.legacy} is judged by its probes.",)
    asked = {name: gate for name in _COMPARED if (gate := facts.gate(name))}
    if GateName.FAILED_COMPARISON not in asked:
        return (f"{facts.target}: {_proved(asked)} are proved low. No alarm.",)
    better, open_ = _compared(asked, "pass"), _compared(asked, "not enough data", "fail")
    if not open_:
        return (f"{facts.target} is no worse than {facts.legacy} on {listed(better)}.",)
    return (f"No alarm. Still to prove no worse than {facts.legacy}: {listed(open_)}.",)


def _proved(asked: Mapping[str, GateView]) -> str:
    return listed(["failures", "slowness", *_compared(asked, "pass")[-1:]])


def _compared(asked: Mapping[str, GateView], *verdicts: str) -> list[str]:
    return [_COMPARED[name] for name, gate in asked.items() if gate.verdict in verdicts]


def _alarms(signals: Mapping[str, SignalStatus], legacy: str) -> Iterator[str]:
    for name, signal in signals.items():
        rel, own = signal.relative, signal.absolute
        said = []
        if rel.value >= rel.alarm:
            said.append(f"worse than {legacy} ({rel.value:.1f}, alarm at {rel.alarm:.1f})")
        if own.value >= own.alarm:
            said.append(f"bad in itself ({own.value:.1f}, alarm at {own.alarm:.1f})")
        if said:
            yield f"{wording.signal(name)}: {' and '.join(said)}."


TEXTS: Final[Mapping[Condition, Callable[[Facts], Line]]] = MappingProxyType(
    {
        Condition.BROKER_AWAY: _broker_away,
        Condition.LOGIN_REFUSED: _login_refused,
        Condition.NO_WORKER: _no_worker,
        Condition.NO_ANSWER_YET: _no_answer_yet,
        Condition.STORE_AWAY: _store_away,
        Condition.STALE: _stale,
        Condition.LOCKED: _locked,
        Condition.TROUBLE: _trouble,
        Condition.COMMON_TROUBLE: _common_trouble,
        Condition.HOLD: _hold,
        Condition.NOT_STARTED: _not_started,
        Condition.ROLLED_BACK: _not_started,
        Condition.NO_TRAFFIC: _not_started,
        Condition.BLIND: _blind,
        Condition.SUSPECT: _suspect,
        Condition.TOO_EARLY: _too_early,
        Condition.SHORT: _short,
        Condition.HEALTHY: _healthy,
    }
)
"""The sentence by condition."""
