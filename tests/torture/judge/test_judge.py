"""The judge holds a clean history for clean, and names each thing that is wrong with another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import documentation
from tests.torture.judge import of_control, of_events, of_messages
from tests.torture.judge.facts import (
    Call,
    Command,
    DeadLetter,
    Entry,
    Event,
    Facts,
    Fault,
    LastRecord,
    OptOut,
    Report,
    Steered,
)
from tests.torture.judge.judge import INVARIANTS, judge
from worker.domain.migration.snapshot import AUTOMATIC

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET, LEGACY = "africastalking", "legacy"
TO = "+260977123456"


def command(ident: str = "m", **changes: Any) -> Command:
    made = Command(ident, TO, "bulk", resends=False, at=10.0, expires_at=100.0)
    return replace(made, **changes)


def call(ident: str = "m", provider: str = TARGET, at: float = 11.0, **changes: Any) -> Call:
    return replace(Call(ident, provider, TO, at, taken=True, reference="r"), **changes)


def event(name: str = "sms.sent", ident: str = "m", **body: Any) -> Event:
    body = {"provider": TARGET, "attempt": 1, **body}
    return Event(name, ident, f"{ident} {name} {body['attempt']}", 12.0, body)


def record(ident: str = "m", state: str = "accepted", **changes: Any) -> LastRecord:
    return replace(LastRecord(ident, state, (), 0), **changes)


def entry(number: int, after: tuple[str, int], **changes: Any) -> Entry:
    before = ("ParallelSetup", 1) if number > 1 else None
    made = Entry(number, number, "ann", f"c{number}", "step", "accepted", before, after, 20.0)
    return replace(made, **changes)


def clean() -> Facts:
    """One bulk message, sent and reported, and one step of the share."""
    return Facts(
        commands=[command()],
        calls=[call()],
        events=[event(), event(), event("sms.delivered")],
        records=[record(attempts=((TARGET, "accepted"),))],
        queued={"sms.send.bulk": []},
        reports=[Report(TARGET, "r", "m", delivered=True, at=12.0)],
        steered=[Steered("ann", "c2", "step", 20.0, ("accepted", "accepted"))],
        entries=[entry(1, ("ParallelSetup", 1)), entry(2, ("ParallelSetup", 5))],
        ended_at=200.0,
    )


def test_a_clean_history_breaks_nothing() -> None:
    assert judge(clean()) == []


def resend() -> Facts:
    """A transactional message that two providers took; no event is marked."""
    facts = clean()
    facts.commands = [command(resends=True)]
    facts.calls = [call(), call(provider=LEGACY)]
    return facts


def lost_command(facts: Facts) -> None:
    facts.records.clear()
    facts.events.clear()
    facts.calls.clear()
    facts.reports.clear()


def unknown(facts: Facts) -> None:
    facts.records = [record(state="unknown")]
    facts.events = [event("sms.unknown", reason="timeout"), event("sms.delivered")]


def automatic(facts: Facts) -> None:
    down = entry(3, ("ParallelSetup", 1), before=("ParallelSetup", 5), user=AUTOMATIC, at=30.0)
    facts.entries.append(down)


BROKEN: dict[str, tuple[str, Callable[[Facts], Any]]] = {
    "bulk taken twice": (of_messages.ONCE, lambda f: f.calls.append(call(provider=LEGACY))),
    "taken and never published": (of_messages.ONCE, lambda f: f.calls.append(call("x"))),
    "no record": (of_messages.NOT_LOST, lost_command),
    "still submitting": (of_messages.REST, lambda f: f.records.append(record(state="submitting"))),
    "an unconfirmed event": (of_messages.REST, lambda f: f.records.append(record(unconfirmed=1))),
    "a full queue": (of_messages.REST, lambda f: f.queued.update({"sms.retry.5s": ["m"]})),
    "invalid, yet accepted": (
        of_messages.ONE_END,
        lambda f: f.commands.append(command(valid=False)),
    ),
    "sent after its end": (of_messages.IN_TIME, lambda f: f.calls.append(call(at=102.0))),
    "sent to who opted out": (of_messages.WANTED, lambda f: f.opt_outs.append(OptOut(TO, 9.0))),
    "told as failed": (of_messages.NO_FALSE_END, lambda f: f.events.append(event("sms.failed"))),
    "told as sent by another": (
        of_messages.NO_FALSE_END,
        lambda f: f.events.append(event(provider=LEGACY, attempt=2)),
    ),
    "dead without a reason": (
        of_messages.REASON,
        lambda f: f.dead.append(DeadLetter("m", "sms.send.bulk", None)),
    ),
    "dead in another lane": (
        of_messages.SOURCE,
        lambda f: f.dead.append(DeadLetter("m", "sms.retry.5s", "expired")),
    ),
    "a process died": (of_messages.ENDS, lambda f: f.broken_ends.append("TypeError")),
    "unknown without a fault": (of_messages.CAUSE, unknown),
    "accepted, but not told": (of_events.TOLD, lambda f: f.events.pop(0) and f.events.pop(0)),
    "one fact, two ids": (
        of_events.COPIES,
        lambda f: f.events.append(replace(event(), event_id="another")),
    ),
    "one id, two facts": (
        of_events.COPIES,
        lambda f: f.events.append(replace(event("sms.unknown"), event_id=event().event_id)),
    ),
    "a report not told": (of_events.REPORTED, lambda f: f.events.pop()),
    "a report of another provider told": (
        of_events.REPORTED,
        lambda f: f.events.append(event("sms.delivered", provider=LEGACY, attempt=2)),
    ),
    "a gap in the log": (
        of_control.LINEAR,
        lambda f: f.entries.append(entry(4, ("ParallelSetup", 5), version=3)),
    ),
    "a change that was forgotten": (
        of_control.LINEAR,
        lambda f: f.entries.append(entry(3, ("ParallelSetup", 1))),
    ),
    "a command in two entries": (
        of_control.ONCE,
        lambda f: f.entries.append(
            entry(3, ("ParallelSetup", 5), before=("ParallelSetup", 5), command_id="c2")
        ),
    ),
    "a command without an entry": (
        of_control.ONCE,
        lambda f: f.steered.append(Steered("ann", "c9", "step", 21.0)),
    ),
    "an answer that is not the entry's": (
        of_control.ONCE,
        lambda f: f.steered.append(Steered("ann", "c2", "step", 20.0, ("refused",))),
    ),
    "a rollback without a fault": (of_control.CAUSE, automatic),
}


@pytest.mark.parametrize("case", BROKEN)
def test_each_fault_of_a_history_is_named(case: str) -> None:
    invariant, break_it = BROKEN[case]
    facts = clean()
    break_it(facts)
    assert invariant in {violation.invariant for violation in judge(facts)}


def test_every_invariant_has_a_history_that_breaks_it() -> None:
    broken = {invariant for invariant, _ in BROKEN.values()}
    assert broken >= set(INVARIANTS)


def test_the_readme_lists_every_invariant() -> None:
    shown = documentation.chapter("worker/README.md", "What we promise and how it is tested")
    promised = {*INVARIANTS, of_messages.NOT_LOST}
    assert {name for name in promised if f"| {name} |" not in shown} == set()


def test_a_resend_through_another_provider_must_be_marked() -> None:
    assert {v.invariant for v in judge(resend())} == {of_messages.ONCE}
    marked = resend()
    marked.events.append(event(provider=LEGACY, attempt=2, possibleDuplicate=True))
    assert judge(marked) == []


def test_a_fault_in_its_window_excuses_an_unknown_message_and_an_automatic_move() -> None:
    facts = clean()
    unknown(facts)
    automatic(facts)
    facts.faults.append(Fault("provider hangs", at=11.0, until=25.0, where=TARGET))
    assert judge(facts) == []


def test_a_broker_that_was_away_excuses_no_unknown_message() -> None:
    facts = clean()
    unknown(facts)
    facts.faults.append(Fault("broker restarts", at=11.0, until=25.0, doubtful=False))
    assert {violation.invariant for violation in judge(facts)} == {of_messages.CAUSE}


def test_a_command_that_was_put_off_needs_no_entry() -> None:
    facts = clean()
    facts.steered.append(Steered("ann", "c9", "step", 21.0, put_off=True))
    assert judge(facts) == []


def test_a_fault_before_the_last_change_is_no_cause_of_an_automatic_move() -> None:
    facts = clean()
    automatic(facts)
    facts.faults.append(Fault("provider hangs", at=11.0, until=15.0, where=TARGET))
    assert {violation.invariant for violation in judge(facts)} == {of_control.CAUSE}
