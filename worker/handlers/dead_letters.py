"""A dead letter as shown to a person: its reason, its origin, and the parts that may be shown.

Rules: the text of an SMS and the full number are shown only on request. Of a body that cannot be
read, only the size is shown. The name of a dead letter is its message id: the AMQP property, else
that of the body, else a digest of the body. Several may have one name; a command acts on them all.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from contracts.codec import DecodeError, read_object
from contracts.commands import own_message_id, valid_id
from contracts.names import Header, Queue
from contracts.problems import is_time
from worker.domain.messages.masking import mask
from worker.handlers.deaths import newest_death
from worker.handlers.decode import LANE_OF_QUEUE, carried, moment, text_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from worker.ports.broker import Incoming

_NAME: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_DIGEST: Final = 12
_NUMBERLIKE: Final = 1_000_000
"""An integer from here on may be a phone number."""
_PLAIN: Final[Mapping[str, Callable[[object], object]]] = {
    "messageId": valid_id,
    "branchId": lambda value: type(value) is int and abs(value) < _NUMBERLIKE,
    "expiresAt": is_time,
}
"""Fields of a command that neither name a person nor hold the text, if they hold what they should.
A publisher may have put anything there: that may be why it is a dead letter."""
_SOURCES: Final = frozenset({*LANE_OF_QUEUE, Queue.REPORTS, Queue.UNROUTED_COMMANDS})
"""Queues that messages are published to. Retry tiers and `sms.lost` only pass messages on."""
_CAUSES: Final = (
    ("failed:", "failed"),
    ("rejected:", "rejected"),
    ("expired:", "expired"),
    ("id conflict", "id conflict"),
    ("our own error", "our own error"),
    ("taken out of", "taken out by the broker"),
    ("no such key", "no such key"),
    ("report ", "report not understood"),
)
OTHER_CAUSE: Final = "refused"
CAUSES: Final = (*(cause for _, cause in _CAUSES), OTHER_CAUSE)
"""The causes of dead letters, as they are counted."""
_NO_REASON: Final = "given up by the broker"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in `sms.dead`."""

    name: str
    """Name by which commands select it."""
    incoming: Incoming
    """Properties, headers and body; `queue` is the one it died in."""
    reason: str
    attempts: int | None
    """Number of provider calls; None: not counted."""
    first_at: datetime | None
    last_at: datetime | None

    @property
    def source(self) -> str:
        """The queue it died in."""
        return self.incoming.queue

    @property
    def replayed_by(self) -> str | None:
        """The person who replayed it before; None: nobody."""
        return text_header(self.incoming, Header.REPLAY)

    def summary(self) -> dict[str, Any]:
        """The fields that a list shows: without the text, with the number masked."""
        return {
            "id": self.name,
            "source": self.source,
            "reason": self.reason,
            "attempts": self.attempts,
            "firstAt": _iso(self.first_at),
            "lastAt": _iso(self.last_at),
            "recipient": self.visible().get("to"),
            "bytes": len(self.incoming.body),
            "replayedBy": self.replayed_by,
        }

    def visible(self) -> dict[str, Any]:
        """The fields of the body, with all private ones hidden."""
        try:
            fields = read_object(self.incoming.body)
        except DecodeError:
            return {}
        return {str(name): _hidden(str(name), value) for name, value in fields.items()}


def cause_of(reason: str) -> str:
    """The one of `CAUSES` that a reason is about: reasons quote what came, causes are few."""
    found = (cause for begin, cause in _CAUSES if reason.startswith(begin))
    return next(found, OTHER_CAUSE)


def dead_letter(incoming: Incoming) -> DeadLetter:
    """Read a message of `sms.dead`. It has no headers of ours if the broker put it there."""
    death = newest_death(incoming.headers, _SOURCES)
    source = text_header(incoming, Header.SOURCE) or (death and death.queue)
    attempts = carried(incoming, Header.ATTEMPTS)
    return DeadLetter(
        name=_name(incoming),
        incoming=replace(incoming, queue=str(source or incoming.routing_key)),
        reason=text_header(incoming, Header.REASON) or _NO_REASON,
        attempts=attempts if Header.ATTEMPTS in incoming.headers else None,
        first_at=moment(incoming, Header.FIRST_AT),
        last_at=moment(incoming, Header.LAST_AT),
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects the dead letters that a command acts on."""

    names: frozenset[str] = frozenset()
    everything: bool = False
    reason: str | None = None
    """Shell pattern for the reason, in any case. Without `*`, `?` or `[`: a part of the reason."""

    def wants(self, letter: DeadLetter) -> bool:
        """Whether the command acts on this dead letter."""
        if self.everything or letter.name in self.names:
            return True
        return self.reason is not None and _matches(letter.reason.lower(), self.reason.lower())


def _matches(reason: str, pattern: str) -> bool:
    return fnmatchcase(reason, pattern) if set(pattern) & set("*?[") else pattern in reason


def _name(incoming: Incoming) -> str:
    for candidate in (incoming.message_id, own_message_id(incoming.body)):
        if candidate is not None and _NAME.fullmatch(candidate):
            return candidate
    return f"sha256-{hashlib.sha256(incoming.body).hexdigest()[:_DIGEST]}"


def _hidden(name: str, value: object) -> object:
    if name == "to" and isinstance(value, str):
        return mask(value)
    if name in _PLAIN and _PLAIN[name](value):
        return value
    return f"({len(value)} characters)" if isinstance(value, str) else "(hidden)"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
