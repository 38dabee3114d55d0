"""What surrounds every page: header, live mark, banner, and what is said to a screen reader."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from worker.console import formats
from worker.console.known import OLD_S, Cause

if TYPE_CHECKING:
    from datetime import datetime

    from worker.console.known import Known, Silence
    from worker.console.viewer import Viewer

NOTICE_S: Final = 120.0
"""How long before its end a session says so."""
_TEXTS: Final = {
    Cause.BROKER_AWAY: ("Broker away.", "The workers keep the split they have."),
    Cause.NO_WORKER: ("No worker answers.", "Nothing is sent. Start a worker: make run"),
    Cause.LOGIN_REFUSED: ("Your broker login no longer works.", "Log in again."),
}


class Tone(StrEnum):
    """How something is drawn; never by colour alone."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Banner:
    """A line above the cards, only where it is due."""

    tone: Tone
    title: str
    text: str
    since: datetime | None = None
    """From when on; shown between title and text."""


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
    """Of the browser's tab."""
    said: tuple[Said, ...]
    session: str
    """Names the session among those of one browser; it proves nothing."""


def frame(known: Known, viewer: Viewer, at: datetime) -> Frame:
    """The surroundings of a page from what is known."""
    return Frame(
        live=live(known),
        banner=banner(known, viewer, at),
        title="SMS migration",
        said=(),
        session=viewer.session,
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
    if known.store_away:
        return Banner(
            Tone.BAD,
            "Store away.",
            "MongoDB does not answer. Sending waits; nothing is lost. Going down can still be "
            "ordered and is done when the store is back; going up cannot.",
        )
    if known.status is not None and known.age(known.status) > OLD_S:
        return Banner(Tone.WARN, "Old data.", "The workers have not answered for a while.")
    if (viewer.ends_at - at).total_seconds() <= NOTICE_S:
        return Banner(Tone.WARN, "You will be logged out soon.", "Load the page again to stay.")
    return None


def _silent(known: Known, silence: Silence, at: datetime) -> Banner:
    title, text = _TEXTS[silence.cause]
    since = known.moment(silence.since, at)
    return Banner(Tone.BAD, title, text, since)
