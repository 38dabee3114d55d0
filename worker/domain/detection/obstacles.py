"""What refuses a ladder at the rates it is planned for, by the flag that does.

Rules: pure. Asked are the gates themselves (`gates.requirement_gates`), with the rates as measured
on a sample without end; the proofs that more messages never bring; and the alarms that such rates
raise sooner or later, for no share is left upwards while one stands. A rate just at its bound is
not refused: it is measured below it often enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from worker.domain.detection import likelihood
from worker.domain.detection.evidence_gates import messages_until
from worker.domain.detection.likelihood import HIGHER, EventCounts
from worker.domain.detection.planning import criteria
from worker.domain.detection.signals import Signal, level
from worker.domain.migration.gate_names import GateName
from worker.domain.migration.gates import GateVerdict, Measures, requirement_gates
from worker.domain.migration.phases import Phase, requirements_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker.domain.detection.forecast import Rung, Unproved
    from worker.domain.detection.planning import Traffic
    from worker.domain.migration.flags import Flags

_MANY: Final = 1_000_000
_FEW_SLOW: Final = 0.05
"""More of them, and the 95th percentile is slow itself."""
_FLAGS: Final = {
    GateName.SUCCESS: "MinSuccessRate",
    GateName.ERRORS: "MaxErrorRate",
    GateName.RESPONSE: "MaxP95Ms",
    GateName.DELIVERY: "MinDeliveryRate",
}
"""By the gate that asks."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A flag that never lets the target go on from a share."""

    share: int
    flag: str
    """Its path in the flags document."""
    required: str
    measured: str


def obstacles(rungs: Sequence[Rung], traffic: Traffic, flags: Flags) -> tuple[Obstacle, ...]:
    """All of them, share by share."""
    found = [_unproved(rung, each, flags) for rung in rungs for each in rung.unproved]
    for rung in rungs:
        found.extend(_alarming(rung, traffic, flags))
    for rung, above in pairwise(rungs):
        found.extend(_required(rung.share, above.phase, traffic, flags))
    return tuple(sorted(found, key=lambda each: each.share))


def _unproved(rung: Rung, proof: Unproved, flags: Flags) -> Obstacle:
    required = f"below {100.0 * proof.bound:g} % {proof.signal}, proved 20 to 1"
    return _bounding(rung, proof.signal, flags, required, proof.rate)


def _alarming(rung: Rung, traffic: Traffic, flags: Flags) -> Iterator[Obstacle]:
    """What is bad in itself, where it would be proved by comparison."""
    bounds = criteria(rung.share, flags, traffic).bounds
    proved = set(traffic.rates) - {each.signal for each in rung.unproved}
    for signal in sorted(proved):
        rate, bound = traffic.rates[signal], bounds[signal][0]
        wanted = level(relative=False, signal=signal) / 2.0
        gains = likelihood.rate_gains(EventCounts(rate, 1.0), bound, HIGHER)
        if messages_until((0.0,) * len(HIGHER), gains, wanted) is not None:
            required = f"no alarm: {signal} not over {100.0 * bound:g} %"
            yield _bounding(rung, signal, flags, required, rate)


def _bounding(rung: Rung, signal: Signal, flags: Flags, required: str, rate: float) -> Obstacle:
    """What the bound of a signal refuses."""
    thresholds = "SmsFeatureFlags.RollbackThresholds"
    flag = {
        Signal.FAILED: f"{thresholds}.MaxErrorRate",
        Signal.SLOW: f"{thresholds}.MaxResponseTimeMs",
        Signal.UNDELIVERED: f"Phases.{_asking(flags, rung.phase)}.Requirements.MinDeliveryRate",
    }[signal]
    return Obstacle(rung.share, flag, required, f"{100.0 * rate:.2f} %")


def _asking(flags: Flags, phase: Phase) -> Phase:
    """Whose requirements bound what is not delivered in that phase."""
    wanted = requirements_at(flags.phases, phase)
    return next((p for p in Phase if wanted and flags.phases[p].requirements is wanted), phase)


def _required(share: int, phase: Phase, traffic: Traffic, flags: Flags) -> Iterator[Obstacle]:
    wanted = flags.phases[phase].requirements
    if wanted is None:
        return
    for gate in requirement_gates(wanted, _measured(traffic, flags)):
        if gate.verdict is GateVerdict.FAIL:
            flag = f"Phases.{phase}.Requirements.{_FLAGS[gate.name]}"
            yield Obstacle(share, flag, f"{gate.name} {gate.required}", gate.measured)


def _measured(traffic: Traffic, flags: Flags) -> Measures:
    failed = round(_MANY * traffic.rates[Signal.FAILED])
    lost = round(_MANY * traffic.rates.get(Signal.UNDELIVERED, 0.0))
    p95_ms = traffic.p95_ms
    if traffic.rates.get(Signal.SLOW, 0.0) > _FEW_SLOW:
        p95_ms = max(p95_ms or 0.0, flags.thresholds.max_response_ms)
    return Measures(
        accepted=_MANY - failed,
        errors=failed,
        p95_ms=p95_ms,
        delivered=_MANY - lost,
        judged=_MANY,
        gives_reports=traffic.gives_reports,
    )
