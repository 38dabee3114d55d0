"""The section "History": the last changes, with who made them and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console import wording
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from datetime import datetime

    from contracts.answers import LogEntryView
    from worker.console.pages.facts import Facts

MOST: Final = 6
_PERCENTAGE: Final = re.compile(r"(\d+) %$")
_IDLE: Final = frozenset({ReplyCode.DRY_RUN, ReplyCode.UNCHANGED})


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the control log."""

    number: int
    at: datetime | None
    what: str
    """`10 % → 25 %`, or the command in words."""
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The section."""

    rows: tuple[Change, ...]
    is_known: bool


def changes(facts: Facts) -> Changes:
    """The newest changes, the newest first."""
    told = facts.known.history
    entries = told.data.entries if told else []
    done = [each for each in entries if each.verdict == "accepted" and each.code not in _IDLE]
    return Changes(tuple(map(_change, done[:MOST])), told is not None)


def _change(entry: LogEntryView) -> Change:
    before, after = _share(entry.share_before, entry.from_), _share(entry.share_after, entry.to)
    moved = before is not None and after is not None and before != after
    return Change(
        number=entry.number,
        at=entry.at,
        what=f"{before} % → {after} %" if moved else wording.command(_name(entry)),
        who=wording.person(entry.user),
        why=str(entry.command.get("reason") or entry.text or ""),
    )


def _name(entry: LogEntryView) -> str:
    return str(entry.command.get("name", ""))


def _share(share: int | None, described: str | None) -> int | None:
    """The share, or the percentage that an older worker describes."""
    if share is not None:
        return share
    found = _PERCENTAGE.search(described or "")
    return int(found[1]) if found else None
