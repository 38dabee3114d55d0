"""What a dialog says after the command was sent: sent, accepted, refused, or no answer yet.

Rules: pure. A command that got no answer may have been done; the dialog says so, and how to find
out. A refusal shows the worker's text and the gates. An outcome that may still change has the path
to ask again; one without it is final.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from contracts.control import SetFlags
from worker.console.steering.catalogue import CATALOGUE
from worker.console.steering.command_line import command_line
from worker.console.steering.conflicts import conflict
from worker.console.steering.gate_lines import GateLine, gate_lines
from worker.domain.migration.flags_differences import at_most, differences
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from contracts.answers import LogEntryView
    from contracts.control import ControlCommand, ControlReply
    from worker.console.steering.progress import Following, Progress

SHOW_LINE_AFTER_S: Final = 15.0
"""Without an answer for so long, the command line is shown."""
FOLLOW_WITHIN_S: Final = 60.0
"""Replicas that are still behind then are named, and nobody waits for them any more."""
_MOST_DIFFERENCES: Final = 200
_ONCE: Final = "It is done once only."
_HISTORY: Final = "History tells whether it was done."


class Stage(StrEnum):
    """How far a command is."""

    SENT = "sent"
    UNANSWERED = "unanswered"
    """No answer yet; it is sent again and again."""
    GIVEN_UP = "given up"
    """No answer came, and nobody tries any more."""
    REFUSED = "refused"
    CONFLICT = "conflict"
    """Somebody else moved meanwhile."""
    ACCEPTED = "accepted"
    FOLLOWED = "followed"
    BEHIND = "behind"
    """Accepted, but a replica does not follow."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two documents, where somebody else put one in force meanwhile."""

    theirs: str
    """What is in force, as JSON."""
    yours: str
    differences: tuple[str, ...]
    """From theirs to yours."""
    version: int
    """Of theirs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a dialog shows after the command was sent."""

    stage: Stage
    title: str
    lines: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    gates: tuple[GateLine, ...] = ()
    poll: str = ""
    """Path that tells more, below the base; empty: this is final."""
    ident: str = ""
    """The command id, where a person may need it."""
    line: str = ""
    """The command line that does the same; empty: nobody needs it."""
    again: str = ""
    """Path of the same dialog with the present state; empty: there is nothing to look at again."""
    compared: Compared | None = None
    """Your flags and those of whoever was faster; None: no flags were sent, or theirs are not
    known."""

    @property
    def is_good(self) -> bool:
        """Whether the command was accepted."""
        return self.stage in {Stage.ACCEPTED, Stage.FOLLOWED, Stage.BEHIND}

    @classmethod
    def waiting(cls, progress: Progress, title: str, *lines: str) -> Self:
        """No answer yet: ask again, and after a while show how to do it without the console."""
        late = progress.elapsed_s >= SHOW_LINE_AFTER_S
        return cls(
            Stage.UNANSWERED if lines else Stage.SENT,
            title,
            (*lines, _HISTORY) if late else lines,
            poll=f"/done/{progress.command.command_id}",
            ident=progress.command.command_id if late else "",
            line=command_line(progress.command, progress.user) if late else "",
        )


def outcome(progress: Progress) -> Outcome:
    """What to show about a command that was sent."""
    if progress.reply is not None:
        return _answered(progress, progress.reply)
    if progress.failure:
        return _given_up(progress)
    if progress.hindrance and not progress.sent:
        return Outcome.waiting(
            progress, "Not sent yet", _sentence(progress.hindrance), "Still trying."
        )
    if progress.sent > 1:
        again = f"No answer yet; sent again with the same id ({progress.sent}). {_ONCE}"
        return Outcome.waiting(progress, "Sent", again)
    return Outcome.waiting(progress, "Sent")


def _given_up(progress: Progress) -> Outcome:
    command = progress.command
    if progress.refused_by_broker:
        return Outcome(Stage.REFUSED, "Refused by the broker", (_sentence(progress.failure),))
    not_known = "It is not known whether it was done." if progress.sent else "It was not sent."
    return Outcome(
        Stage.GIVEN_UP,
        "No answer",
        (_sentence(progress.failure), not_known, *((_HISTORY,) if progress.sent else ())),
        ident=command.command_id,
        line=command_line(command, progress.user),
    )


def _answered(progress: Progress, reply: ControlReply) -> Outcome:
    if reply.verdict == "accepted":
        return _accepted(reply)
    if reply.code == ReplyCode.VERSION:
        return Outcome(
            Stage.CONFLICT,
            "Something changed meanwhile",
            (conflict(progress.moved_by, reply.at),),
            again=_again(reply),
            compared=_compared(progress.command, reply),
        )
    return Outcome(
        Stage.REFUSED,
        "Refused",
        (_text(reply),) if len(reply.problems) <= 1 else (),
        problems=reply.problems if len(reply.problems) > 1 else (),
        gates=gate_lines(reply.gates),
        again=_again(reply),
    )


def _compared(command: ControlCommand, reply: ControlReply) -> Compared | None:
    if not isinstance(command, SetFlags) or reply.state is None:
        return None
    theirs, yours = reply.state.flags, command.flags
    changed = at_most(differences(theirs, yours), _MOST_DIFFERENCES)
    return Compared(_json(theirs), _json(yours), tuple(changed), reply.state.version)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def _accepted(reply: ControlReply) -> Outcome:
    changed = reply.code == ReplyCode.OK and reply.state is not None and CATALOGUE[reply.name].moves
    version = f", version {reply.version}" if changed and reply.version is not None else ""
    said = f"Accepted: {_text(reply)}{version}"
    followed = f"/followed/{reply.version}?id={reply.command_id}" if version else ""
    return Outcome(Stage.ACCEPTED, said, poll=followed)


def recorded(entry: LogEntryView) -> Outcome:
    """What to show about a command that only the history knows."""
    text = (entry.text or "").removeprefix(f"{entry.command.get('name')}: ")
    if entry.verdict == "accepted":
        return Outcome(Stage.ACCEPTED, f"Accepted: {text}, version {entry.version}")
    return Outcome(Stage.REFUSED, "Refused", (text,))


def unknown(*, looked: bool = False) -> Outcome:
    """What to show about a command that nobody knows.

    Args:
        looked: whether the history was read.
    """
    history = "The history does not have it: it was not done, or not yet." if looked else _HISTORY
    lines = ("This session did not send it.", history)
    return Outcome(Stage.GIVEN_UP, "Not known", lines)


def followed(accepted: Outcome, following: Following) -> Outcome:
    """What to show about the replicas after an accepted command."""
    ready = following.live - len(following.behind)
    took = f"({following.elapsed_s:.1f} s)"
    if following.live and not following.behind:
        line = f"{ready} of {following.live} replicas follow {took}"
        return Outcome(Stage.FOLLOWED, accepted.title, (line,))
    if following.elapsed_s >= FOLLOW_WITHIN_S:
        return Outcome(Stage.BEHIND, accepted.title, (_behind(following),))
    none = "No live replica is known yet." if not following.live else ""
    line = following.silence or none or f"{ready} of {following.live} replicas follow"
    return Outcome(Stage.ACCEPTED, accepted.title, (line,), poll=accepted.poll)


def _behind(following: Following) -> str:
    if following.silence:
        return f"Not known whether the replicas follow: {following.silence}"
    if not following.live:
        return f"No live replica is known after {FOLLOW_WITHIN_S:.0f} s: nothing is sent."
    names = ", ".join(each[:8] for each in following.behind)
    return f"Still behind after {FOLLOW_WITHIN_S:.0f} s: {names}. They refuse to send meanwhile."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _text(reply: ControlReply) -> str:
    """The worker's text without the command's name, which the dialog shows."""
    return reply.text.removeprefix(f"{reply.name}: ")


def _again(reply: ControlReply) -> str:
    """The dialog can be opened again by its address unless a person must fill it in."""
    description = CATALOGUE.get(reply.name)
    asks = description is None or any(each.required for each in description.fields)
    return "" if asks else f"/dialog/{reply.name}"
