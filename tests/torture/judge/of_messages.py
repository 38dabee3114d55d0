"""Invariants of messages: what providers took, and how each message ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from contracts.names import Queue
from tests.torture.judge.seen import EVENT_OF, UNSENT
from tests.torture.judge.violations import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.judge.facts import Command, Event, LastRecord
    from tests.torture.judge.seen import Seen

ONCE: Final = "accepted at most once by policy"
ONE_END: Final = "one final state, or unknown with its reason"
IN_TIME: Final = "nothing sent after its end"
WANTED: Final = "nothing sent to who opted out"
NOT_LOST: Final = "acknowledged means durable"
REST: Final = "nothing waits for ever"
REASON: Final = "nothing dead without a reason"
CAUSE: Final = "unknown only where a fault hit its window"
NO_FALSE_END: Final = "no false end"
ENDS: Final = "a process ends when it is told to, and only then"
SOURCE: Final = "a dead letter names the lane of its command"


def accepted_once(seen: Seen) -> Iterator[Violation]:
    """Bulk: one SMS at most. With a resend: two at most, by two providers, and marked."""
    for ident, taken in seen.taken.items():
        command = seen.commands.get(ident)
        if command is None:
            yield Violation(ONCE, ident, "taken, but never published")
            continue
        most = 2 if command.resends else 1
        providers = [call.provider for call in taken]
        if len(taken) > most:
            yield Violation(ONCE, ident, f"taken {len(taken)} times ({', '.join(providers)})")
        elif len(taken) > len(set(providers)):
            yield Violation(ONCE, ident, f"taken twice by {providers[0]}")
        elif len(taken) > 1 and not _marked(seen, ident):
            yield Violation(ONCE, ident, "taken twice, and no event has possibleDuplicate")


def _marked(seen: Seen, ident: str) -> bool:
    return any(event.body.get("possibleDuplicate") for event in seen.events.get(ident, ()))


def one_end(seen: Seen) -> Iterator[Violation]:
    """Each command has a record in a state that lasts; an unknown one says why."""
    for ident, command in seen.commands.items():
        record = seen.records.get(ident)
        if record is None:
            yield from _without_record(seen, ident)
        elif record.state not in EVENT_OF:
            yield Violation(REST, ident, f"its record is still {record.state}")
        else:
            yield from _ended(seen, command, record)


def _without_record(seen: Seen, ident: str) -> Iterator[Violation]:
    queued = [queue for queue, ids in seen.facts.queued.items() if ident in ids]
    if not queued and ident not in seen.dead:
        yield Violation(NOT_LOST, ident, "no record, in no queue, and no dead letter")


def _ended(seen: Seen, command: Command, record: LastRecord) -> Iterator[Violation]:
    ident = command.id
    if not command.valid and record.state != "rejected":
        yield Violation(ONE_END, ident, f"expected rejected, got {record.state}")
    if record.state == "unknown" and not _says_why(seen, ident):
        yield Violation(ONE_END, ident, "unknown without a reason")
    if record.unconfirmed:
        yield Violation(REST, ident, f"{record.unconfirmed} events were never confirmed")


def _says_why(seen: Seen, ident: str) -> bool:
    told = (event for event in seen.events.get(ident, ()) if event.name == "sms.unknown")
    return any(event.body.get("reason") for event in told)


def at_rest(seen: Seen) -> Iterator[Violation]:
    """No queue holds a message for ever."""
    for queue, ids in seen.facts.queued.items():
        if ids:
            yield Violation(REST, queue, f"still holds {len(ids)}: {', '.join(ids[:5])}")


def in_time(seen: Seen) -> Iterator[Violation]:
    """No provider gets a message after its life."""
    for ident, calls in seen.calls.items():
        command = seen.commands.get(ident)
        if command is None:
            continue
        for call in calls:
            late_s = call.at - command.expires_at
            if late_s > seen.facts.travel_s:
                yield Violation(IN_TIME, ident, f"{call.provider} got it {late_s:.1f} s late")


def wanted(seen: Seen) -> Iterator[Violation]:
    """No provider gets a message to a recipient whose opt-out every replica has to know."""
    since = {opt_out.to: opt_out.at for opt_out in seen.facts.opt_outs}
    for call in seen.facts.calls:
        at = since.get(call.to)
        if at is not None and call.at > at + seen.facts.travel_s:
            yield Violation(WANTED, call.message_id, f"{call.at - at:.1f} s after the opt-out")


def no_false_end(seen: Seen) -> Iterator[Violation]:
    """Nobody is told that a message was not sent which a provider took, or the other way round."""
    for ident, events in seen.events.items():
        taken = {call.provider for call in seen.taken.get(ident, ())}
        for name in sorted(seen.names(ident) & UNSENT if taken else ()):
            yield Violation(NO_FALSE_END, ident, f"{name}, although {sorted(taken)} took it")
        for event in events:
            provider = event.body.get("provider")
            if event.name == "sms.sent" and provider not in taken and not _says_so(seen, event):
                yield Violation(NO_FALSE_END, ident, f"sms.sent by {provider}, which has it not")


def _says_so(seen: Seen, event: Event) -> bool:
    """Whether a provider reported on a message that it has not: we cannot know better."""
    reports = seen.reports.get(event.message_id, ())
    return any(each.provider == event.body.get("provider") for each in reports)


def reasons(seen: Seen) -> Iterator[Violation]:
    """Every dead letter says why it is there."""
    for letter in seen.facts.dead:
        if not letter.reason:
            yield Violation(REASON, letter.message_id or "without an id", f"from {letter.source}")


def caused(seen: Seen) -> Iterator[Violation]:
    """A message is unknown only if a fault could hit it between its command and its event."""
    for ident, events in seen.events.items():
        told = next((event for event in events if event.name == "sms.unknown"), None)
        command = seen.commands.get(ident)
        if told is None or command is None:
            continue
        hit = any(
            fault.doubtful and fault.at <= told.at and fault.until >= command.at
            and (fault.messages is None or ident in fault.messages)
            for fault in seen.facts.faults
        )  # fmt: skip
        if not hit:
            yield Violation(CAUSE, ident, f"unknown ({told.body.get('reason')}) without a fault")


def ends(seen: Seen) -> Iterator[Violation]:
    """No process died of an error of ours, or could not be stopped."""
    for what in seen.facts.broken_ends:
        yield Violation(ENDS, "a process", what)


def sources(seen: Seen) -> Iterator[Violation]:
    """A dead command died in the queue of its lane, whatever queues it had been in before.

    One that found no queue died in the queue of those.
    """
    for ident, letters in seen.dead.items():
        command = seen.commands.get(ident)
        for letter in letters if command is not None else ():
            expected = f"sms.send.{command.lane}"
            if letter.source not in (expected, Queue.UNROUTED_COMMANDS):
                yield Violation(SOURCE, ident, f"expected {expected}, got {letter.source}")
