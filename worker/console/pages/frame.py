"""What surrounds every page: header, live mark, banner, the tab's title, and what is said aloud.

Rules: sections are shared by all pages of one login, so they hold nothing of a session but that it
ends soon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console import formats, wording
from worker.console.known import OLD_S, Cause
from worker.console.pages import alerts
from worker.console.pages.condition import Condition, condition
from worker.console.pages.facts import facts
from worker.console.pages.parts import END, Age, Tone, When
from worker.console.pages.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from worker.console.known import Known, Silence
    from worker.console.pages.facts import Facts
    from worker.console.pages.parts import Line
    from worker.console.viewer import Viewer

NOTICE_S: Final = 120.0
"""How long before its end a session says so."""
_SILENT: Final[Mapping[Cause, tuple[str, str]]] = {
    Cause.BROKER_AWAY: ("Broker away.", "The workers keep the split they have."),
    Cause.NO_WORKER: ("No worker answers.", "Start a worker: make run"),
    Cause.LOGIN_REFUSED: ("Your broker login no longer works.", "Log in again."),
}
_STORE_AWAY: Final = (
    "MongoDB does not answer. Sending waits; nothing is lost. Going down can still be ordered and "
    "is done when the store is back; going up cannot."
)
_URGENT: Final = frozenset({Condition.LOCKED, Condition.TROUBLE, Condition.COMMON_TROUBLE})


@dataclass(frozen=True, slots=True)
class Banner:
    """A line above the cards, only where it is due."""

    tone: Tone
    title: str
    text: Line


@dataclass(frozen=True, slots=True)
class Said:
    """A fact that a screen reader is told when it changes."""

    text: str
    loud: bool = False
    """Told at once, whatever is being read."""


@dataclass(frozen=True, slots=True)
class Live:
    """The mark that says how fresh the page is."""

    fresh: bool
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The surroundings of a page."""

    live: Live
    banner: Banner | None
    title: str
    """Of the browser's tab: the share first, and an exclamation mark before it when one is due."""
    said: tuple[Said, ...]


def frame(known: Known, viewer: Viewer, at: datetime) -> Frame:
    """The surroundings of a page from what is known."""
    found = facts(known, at)
    present = condition(found)
    shown = alerts.alerts(found, viewer)
    return Frame(
        live=live(known),
        banner=banner(known, viewer, at),
        title=_title(found, present, is_urgent=shown.urgent > 0),
        said=tuple(_said(found, present, shown)),
    )


def live(known: Known) -> Live:
    """The live mark."""
    told = known.status
    if told is None:
        return Live(fresh=False, text="No answer yet")
    age = known.age(told)
    if age <= OLD_S:
        return Live(fresh=True, text="Live")
    return Live(fresh=False, text=f"Old data, {formats.duration(age)}")


def banner(known: Known, viewer: Viewer, at: datetime) -> Banner | None:
    """The most urgent of what must be said above the cards; None: nothing."""
    if known.silence is not None:
        return _silent(known, known.silence, at)
    told = known.status
    if told is not None and known.age(told) > OLD_S:
        since = When(known.moment(told.at, at), seconds=True)
        return Banner(Tone.WARN, "Old data.", ("No answer since ", since, "."))
    if known.store_away:
        return Banner(Tone.BAD, "Store away.", (_STORE_AWAY,))
    left_s = (viewer.ends_at - at).total_seconds()
    if left_s <= NOTICE_S:
        left = Age(END, f"You will be logged out in {formats.duration(left_s)}")
        return Banner(Tone.WARN, "", (left, ". Load the page again to stay."))
    return None


def _silent(known: Known, silence: Silence, at: datetime) -> Banner:
    title, text = _SILENT[silence.cause]
    since = When(known.moment(silence.since, at), seconds=True)
    return Banner(Tone.BAD, title, ("No answer since ", since, f". {text}"))


def _title(found: Facts, present: Condition, *, is_urgent: bool) -> str:
    if found.state is None:
        return "SMS migration"
    due = is_urgent or present in _URGENT or found.state.proposed is not None
    share = f"{found.share} %" if present.is_known else f"{found.share} % ?"
    return f"{'! ' if due else ''}{share} · SMS migration"


def _said(found: Facts, present: Condition, shown: alerts.Alerts) -> Iterator[Said]:
    """What is told when it changes: share, phase, verdict, proposal, replicas, critical alerts."""
    if found.state is not None:
        yield Said(f"{found.share} % to {found.target}.")
        yield Said(f"Phase: {wording.phase(found.state.phase)}.")
        if found.state.proposed is not None:
            yield Said(f"Proposal {found.state.proposed.number} waits for approval.")
    yield Said(f"{verdict(found, present).title}.")
    if found.status is not None and found.status.replicas is not None:
        yield Said(f"{len(found.status.replicas)} replicas live.")
    for alert in (*shown.rows, *shown.more):
        if alert.severity == wording.SEVERITIES["critical"]:
            yield Said(f"Critical: {alert.reason}", loud=True)
