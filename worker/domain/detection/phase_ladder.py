"""A ladder of shares and the phases that lead through it.

Rules: pure. Flags lead through a ladder by their entries and steps; a ladder is led through by
flags whose entries and steps are its shares. Ranges and requirements are never changed.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from worker.domain.migration.phases import DEFAULT_RULES, WAY_UP, Phase, Rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.migration.flags import Flags


def ladder_of(phases: Mapping[Phase, Rules] = DEFAULT_RULES) -> tuple[int, ...]:
    """The shares that the phases lead through."""
    steps = {step for phase in WAY_UP for step in (phases[phase].entry, *phases[phase].steps)}
    return tuple(sorted(steps - {0}))


def phase_at(share: int, phases: Mapping[Phase, Rules]) -> Phase:
    """The phase in which that share is proved on the way up.

    Where phases have it in common, the last that is entered there or below: no share is proved
    twice for nothing.
    """
    having = [p for p in WAY_UP if share in (phases[p].entry, *phases[p].steps)]
    having = having or [p for p in WAY_UP if phases[p].allows(share)]
    entered = [p for p in having if phases[p].entry <= share]
    return entered[-1] if entered else having[0] if having else Phase.COMPLETE_MIGRATION


def with_ladder(flags: Flags, shares: tuple[int, ...]) -> Flags:
    """The flags, with entries and steps by which `advance` and `step` climb just this ladder."""
    return replace(flags, phases=MappingProxyType({**flags.phases, **_led(flags.phases, shares)}))


def _led(phases: Mapping[Phase, Rules], shares: tuple[int, ...]) -> dict[Phase, Rules]:
    """Each share in the first phase that holds it, and no phase without one in between.

    Such a phase would be entered at the share before, which would have to be proved twice. Phases
    before the first share are entered at 0.
    """
    *before, last = WAY_UP
    steps: dict[Phase, list[int]] = {phase: [] for phase in WAY_UP}
    for share in shares:
        steps[next((p for p in before if phases[p].allows(share)), last)].append(share)
    for at in range(len(before) - 1, 0, -1):
        lower = [steps[phase] for phase in before[:at] if steps[phase]]
        if lower and not steps[before[at]] and phases[before[at]].allows(lower[-1][-1]):
            steps[before[at]].append(lower[-1].pop())
    found, reached = {}, 0
    for phase, own in steps.items():
        found[phase] = replace(phases[phase], entry=own[0] if own else reached, steps=tuple(own))
        reached = own[-1] if own else reached
    return found
