"""Judges a history: every invariant by its name.

Rules: pure. It knows journals and events alone (`facts`), so one judge serves the simulation, real
processes and real servers. Each invariant is a function that yields what breaks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.torture.judge import of_control, of_events, of_messages
from tests.torture.judge.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.torture.judge.facts import Facts
    from tests.torture.judge.violations import Violation

INVARIANTS: Final[Mapping[str, Callable[[Seen], Iterator[Violation]]]] = {
    of_messages.ONCE: of_messages.accepted_once,
    of_messages.ONE_END: of_messages.one_end,
    of_events.TOLD: of_events.told,
    of_events.COPIES: of_events.copies,
    of_messages.NO_FALSE_END: of_messages.no_false_end,
    of_messages.IN_TIME: of_messages.in_time,
    of_messages.WANTED: of_messages.wanted,
    of_messages.REASON: of_messages.reasons,
    of_messages.SOURCE: of_messages.sources,
    of_messages.REST: of_messages.at_rest,
    of_messages.ENDS: of_messages.ends,
    of_messages.CAUSE: of_messages.caused,
    of_events.REPORTED: of_events.reported,
    of_control.LINEAR: of_control.linear,
    of_control.ONCE: of_control.once,
    of_control.CAUSE: of_control.caused,
}
"""All invariants. `acknowledged means durable` is found where a command has no end."""


def judge(facts: Facts) -> list[Violation]:
    """What is broken, sorted; empty: every invariant holds."""
    seen = Seen(facts)
    return sorted(set().union(*(check(seen) for check in INVARIANTS.values())))
