"""Invariants of steering: the control log is one line, and nothing moves without a cause."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tests.torture.judge.violations import Violation
from worker.domain.migration.snapshot import AUTOMATIC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.judge.facts import Entry, Facts
    from tests.torture.judge.seen import Seen

LINEAR: Final = "the history of control is linear"
ONCE: Final = "no command twice or lost"
CAUSE: Final = "no automatic move without a cause"


def linear(seen: Seen) -> Iterator[Violation]:
    """Each entry follows the one before it: number, state, and a version that rises by changes."""
    for before, after in pairwise(seen.facts.entries):
        about = f"entry {after.number}"
        if after.number != before.number + 1:
            yield Violation(LINEAR, about, f"follows entry {before.number}")
        if after.before is not None and after.before != before.after:
            yield Violation(LINEAR, about, f"begins at {after.before}, not at {before.after}")
        if after.version - before.version not in (0, 1):
            yield Violation(LINEAR, about, f"version {before.version} -> {after.version}")
        if after.version == before.version and after.after != before.after:
            yield Violation(LINEAR, about, "another state under the same version")


def once(seen: Seen) -> Iterator[Violation]:
    """Each command has one entry, and every answer to it says the same."""
    entries = Counter((entry.user, entry.command_id) for entry in seen.facts.entries)
    for (user, command_id), count in entries.items():
        if count > 1:
            yield Violation(ONCE, command_id, f"{count} entries of {user}")
    verdicts = {(entry.user, entry.command_id): entry.verdict for entry in seen.facts.entries}
    for steered in seen.facts.steered:
        verdict = verdicts.get((steered.user, steered.command_id))
        if verdict is None and steered.put_off and not steered.verdicts:
            continue
        if verdict is None:
            yield Violation(ONCE, steered.command_id, f"{steered.name} has no entry")
        elif any(answer != verdict for answer in steered.verdicts):
            said = ", ".join(steered.verdicts)
            yield Violation(ONCE, steered.command_id, f"recorded as {verdict}, answered {said}")


def caused(seen: Seen) -> Iterator[Violation]:
    """Automation moves down only for a fault of the target since the share last changed."""
    changed_at = 0.0
    for entry in seen.facts.entries:
        down = entry.before is not None and entry.after[1] < entry.before[1]
        if down and entry.user == AUTOMATIC and not _hit(seen.facts, changed_at, entry):
            yield Violation(CAUSE, f"entry {entry.number}", f"{entry.name}: nothing had failed")
        if entry.before is not None and entry.after != entry.before:
            changed_at = entry.at


def _hit(facts: Facts, since: float, entry: Entry) -> bool:
    at_target = (fault for fault in facts.faults if fault.where in {"", facts.target})
    return any(fault.at <= entry.at and fault.until > since for fault in at_target)
