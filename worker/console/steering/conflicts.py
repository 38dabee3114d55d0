"""Says who moved meanwhile, such as: amina stepped to 50 % 8 s ago.

Rules: pure. The newest entry that put another version in force counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.console import formats, wording
from worker.console.steering.catalogue import CATALOGUE
from worker.console.steering.descriptions import said
from worker.domain.migration.reply_codes import ReplyCode
from worker.domain.migration.snapshot import AUTOMATIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from contracts.answers import LogEntryView

_BY_ITSELF: Final[Mapping[str, str]] = {
    str(ReplyCode.STEPPED_BACK): "stepped back to {share} %",
    str(ReplyCode.ROLLED_BACK): "rolled back to {share} %",
    "automatic-step": "stepped to {share} %",
    "automatic-advance": "advanced to {phase} at {share} %",
}
"""What automation did, by its name in the history."""
_LOOK: Final = "Look again."


def mover(entries: Iterable[LogEntryView], expected: int | None) -> LogEntryView | None:
    """The newest entry that put a version in force which the person did not see."""
    later = (each for each in entries if expected is None or each.version > expected)
    changed = (each for each in later if each.verdict == "accepted" and _changed(each))
    return max(changed, key=lambda each: each.number, default=None)


def _changed(entry: LogEntryView) -> bool:
    return entry.code not in {ReplyCode.DRY_RUN, ReplyCode.UNCHANGED, ReplyCode.HELD}


def conflict(entry: LogEntryView | None, at: datetime) -> str:
    """Say who moved, to where, and how long ago.

    Args:
        entry: the entry of that move; None: it is not known.
        at: the time of day now.
    """
    if entry is None:
        return f"Somebody else changed something meanwhile. {_LOOK}"
    ago = f" {formats.age((at - entry.at).total_seconds())}" if entry.at else ""
    return f"{who(entry.user)} {what(entry)}{ago}. {_LOOK}"


def who(user: str) -> str:
    """A person by name; automation as such."""
    return "Automation" if user == AUTOMATIC else user


def what(entry: LogEntryView) -> str:
    """What somebody did: `stepped to 50 %`."""
    name = str(entry.command.get("name", ""))
    phase, _, percent = entry.to.partition(" ")
    words = {
        "phase": wording.phase(phase),
        "share": percent.removesuffix(" %"),
        "legacy": "Legacy",
        "target": "Africa's Talking",
    }
    if entry.code == ReplyCode.PROPOSED:
        return "made a proposal"
    description = CATALOGUE.get(name)
    done = description.done if description else _BY_ITSELF.get(name, f"gave {name[:40]}")
    return said(done, words)
