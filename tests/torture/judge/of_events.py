"""Invariants of events: each end is told, copies are recognised, and reports become events."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from tests.torture.judge.seen import DELIVERY, EVENT_OF
from tests.torture.judge.violations import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.judge.facts import Event, Report
    from tests.torture.judge.seen import Seen

TOLD: Final = "an event for every final state"
COPIES: Final = "copies of an event share its id"
REPORTED: Final = "a report becomes an event of its own provider's attempt"


def told(seen: Seen) -> Iterator[Violation]:
    """The state a record stays in was told."""
    for record in seen.facts.records:
        expected = EVENT_OF.get(record.state)
        if expected is not None and expected not in seen.names(record.message_id):
            yield Violation(TOLD, record.message_id, f"{record.state}, but no {expected} came")


def copies(seen: Seen) -> Iterator[Violation]:
    """One fact has one event id, and one event id is one fact with one body."""
    ids: defaultdict[tuple[Any, ...], dict[str, None]] = defaultdict(dict)
    bodies: dict[str, tuple[tuple[Any, ...], Any]] = {}
    for event in seen.facts.events:
        fact = _fact(event)
        ids[fact][event.event_id] = None
        known = bodies.setdefault(event.event_id, (fact, event.body))
        if known != (fact, event.body):
            yield Violation(COPIES, event.event_id, f"two bodies of {event.name}")
    for fact, given in ids.items():
        if len(given) > 1:
            yield Violation(COPIES, str(fact[0]), f"{fact[1]} has ids {', '.join(given)}")


def _fact(event: Event) -> tuple[Any, ...]:
    return event.message_id, event.name, event.body.get("attempt")


def reported(seen: Seen) -> Iterator[Violation]:
    """Each report that can be matched is told, and none is told as another provider's."""
    for ident, reports in seen.reports.items():
        told_by = {e.body.get("provider") for e in seen.events.get(ident, ()) if e.name in DELIVERY}
        owed_by = {each.provider for each in reports if _can_be_matched(seen, each)}
        for provider in sorted(owed_by - told_by):
            yield Violation(REPORTED, ident, f"the report of {provider} was not told")
    for event in seen.facts.events:
        provider = event.body.get("provider")
        known = {each.provider for each in seen.reports.get(event.message_id, ())}
        if event.name in DELIVERY and provider not in known:
            about = f"{event.name} of {provider}, which reported nothing"
            yield Violation(REPORTED, event.message_id, about)


def _can_be_matched(seen: Seen, report: Report) -> bool:
    """Whether it is about an SMS of ours that it names so that we must recognise it.

    A provider's own id is known only if its answer came.
    """
    taken = seen.taken.get(report.message_id, ())
    if not report.genuine or all(call.provider != report.provider for call in taken):
        return False
    record = seen.records.get(report.message_id)
    attempts = record.attempts if record is not None else ()
    return report.names_ours or (report.provider, "accepted") in attempts
