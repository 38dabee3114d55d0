"""The transitions of a record: from which state, by which write, to which state, with which event.

Rules:
- `TRANSITIONS` is the only place that defines them. The stores build the filters of their
  compare-and-set writes from it, so a write changes only a record in a state it may start from.
- A write that needs a transition outside the table is an error in our own code. It is raised before
  anything is written.
- What a delivery does with the record it finds is another table (`delivery_action`).
"""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.domain.messages.message import State

if TYPE_CHECKING:
    from collections.abc import Mapping


class Write(StrEnum):
    """The writes that set a record's state. Each is one compare-and-set or one insert."""

    CLAIM = "claim"
    """A delivery inserts the record with its first intent."""
    CLOSE_NEW = "close new"
    """A delivery inserts a record that ends before any intent."""
    REPLAY_NEW = "replay new"
    """A replay of a dead letter inserts a record that waits for its copy."""
    INTEND = "intend"
    """The holder of the record writes its next intent."""
    RESUME = "resume"
    """A delivery writes the next intent on a record that nobody holds."""
    SETTLE = "settle"
    """The holder writes the outcome that ends the attempts."""
    WAIT = "wait"
    """The holder writes the proof that the message was not sent: another round follows."""
    CLOSE = "close"
    """A delivery or the sweeper ends a record that waits."""
    DECLARE_UNKNOWN = "declare unknown"
    """A delivery or the sweeper finds that the holder's lease is over."""
    PROVE = "prove"
    """A delivery report proves that a provider took the message."""
    REPLAY = "replay"
    """A replay of a dead letter gives an ended record another life."""


class NoSuchTransition(LookupError):  # noqa: N818 - names the missing thing, as `KeyError` does
    """The table does not have the transition that a write needs."""

    def __init__(self, write: Write, end: State, start: State | None = None) -> None:
        origin = f" from {start}" if start is not None else ""
        super().__init__(f"expected a transition of the table, got {write}{origin} to {end}")


_S, _W = State, Write
TRANSITIONS: Final[Mapping[tuple[State | None, Write, State], str | None]] = MappingProxyType(
    {
        (None, _W.CLAIM, _S.SUBMITTING): None,
        (None, _W.CLOSE_NEW, _S.FAILED): "sms.failed",
        (None, _W.CLOSE_NEW, _S.REJECTED): "sms.rejected",
        (None, _W.CLOSE_NEW, _S.EXPIRED): "sms.expired",
        (None, _W.REPLAY_NEW, _S.WAITING): None,
        (_S.SUBMITTING, _W.INTEND, _S.SUBMITTING): None,
        (_S.SUBMITTING, _W.SETTLE, _S.ACCEPTED): "sms.sent",
        (_S.SUBMITTING, _W.SETTLE, _S.FAILED): "sms.failed",
        (_S.SUBMITTING, _W.SETTLE, _S.UNKNOWN): "sms.unknown",
        (_S.SUBMITTING, _W.WAIT, _S.WAITING): None,
        (_S.SUBMITTING, _W.DECLARE_UNKNOWN, _S.UNKNOWN): "sms.unknown",
        (_S.WAITING, _W.RESUME, _S.SUBMITTING): None,
        (_S.WAITING, _W.CLOSE, _S.FAILED): "sms.failed",
        (_S.WAITING, _W.CLOSE, _S.REJECTED): "sms.rejected",
        (_S.WAITING, _W.CLOSE, _S.EXPIRED): "sms.expired",
        (_S.WAITING, _W.CLOSE, _S.UNKNOWN): "sms.unknown",
        (_S.UNKNOWN, _W.RESUME, _S.SUBMITTING): None,
        # The holder gets the outcome after another worker declared its lease over.
        (_S.UNKNOWN, _W.INTEND, _S.SUBMITTING): None,
        (_S.UNKNOWN, _W.SETTLE, _S.ACCEPTED): "sms.sent",
        (_S.UNKNOWN, _W.SETTLE, _S.FAILED): "sms.failed",
        (_S.UNKNOWN, _W.WAIT, _S.WAITING): None,
        (_S.UNKNOWN, _W.PROVE, _S.ACCEPTED): "sms.sent",
        # A message a provider has or may have is replayed only if the operator accepts a duplicate.
        (_S.ACCEPTED, _W.REPLAY, _S.WAITING): None,
        (_S.UNKNOWN, _W.REPLAY, _S.WAITING): None,
        (_S.FAILED, _W.REPLAY, _S.WAITING): None,
        (_S.REJECTED, _W.REPLAY, _S.WAITING): None,
        (_S.EXPIRED, _W.REPLAY, _S.WAITING): None,
    }
)
"""State before, write, state after -> the event stored with it. The event is left out if the record
has it already. None: no event."""


def _starts() -> Mapping[tuple[Write, State], frozenset[State]]:
    before: defaultdict[tuple[Write, State], set[State]] = defaultdict(set)
    for start, write, end in TRANSITIONS:
        if start is not None:
            before[write, end].add(start)
    return MappingProxyType({key: frozenset(states) for key, states in before.items()})


STARTS: Final = _starts()
"""Write and state after -> states in which the write finds its record. Inserts find none."""


def starts(write: Write, end: State) -> frozenset[State]:
    """States from which a write may lead to `end`. Raises `NoSuchTransition`."""
    try:
        return STARTS[write, end]
    except KeyError:
        raise NoSuchTransition(write, end) from None


def require(start: State | None, write: Write, end: State) -> None:
    """Raise `NoSuchTransition` unless the table has this transition."""
    if (start, write, end) not in TRANSITIONS:
        raise NoSuchTransition(write, end, start)


def picture() -> str:
    """The table as a mermaid state diagram."""
    labels: defaultdict[tuple[State | None, State], list[str]] = defaultdict(list)
    for (start, write, end), event in TRANSITIONS.items():
        labels[start, end].append(f"{write} ({event})" if event else str(write))
    lines = [
        f"    {start or '[*]'} --> {end}: {', '.join(writes)}"
        for (start, end), writes in labels.items()
    ]
    return "\n".join(["stateDiagram-v2", *lines])
