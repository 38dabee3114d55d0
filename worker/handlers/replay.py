"""Replays dead letters: gives each another life.

    look at the record -> record to `waiting` -> copy to its lane, confirmed -> dead letter acked

Rules:
- The record comes first: from an ended state (or from none) it goes to `waiting` with a new budget
  by one compare-and-set, and its round rises. The copy carries that round, so one copy alone can go
  on from there (`domain.messages.delivery_action`): a second one finds another round or an end.
- If the process dies between record and copy, nothing is lost: the record waits and the dead letter
  is still in `sms.dead`. The next replay finds `waiting` and publishes the copy of that round.
- If the process dies between copy and acknowledgement, nothing is doubled: the copy is processed
  and the dead letter is still in `sms.dead`. The next replay finds `waiting` (it publishes a second
  copy of the round, and only one of the two goes on), `submitting` (refused, because a worker has
  it) or an ended record (refused if it is accepted).
- The copy must not come first. A worker could meet it while the record still says `failed`,
  announce the failure again and put the copy back among the dead letters.
- A message that a provider may have taken is sent again only if the operator accepts a duplicate.
  Its `sms.sent` then says `possibleDuplicate`.
- If the life of a message is over, the operator must give it a new end. The record stores it, and
  the record's life counts, not that of the body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from contracts.names import Header, Queue
from worker.domain.messages.message import Lane, Record, State
from worker.handlers.copies import round_headers
from worker.handlers.decode import LANE_OF_QUEUE, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.domain.messages.message import Message
    from worker.handlers.dead_letters import DeadLetter
    from worker.handlers.decode import CommandDecoder
    from worker.ports.clock import Clock

QUEUE_OF_LANE: Final = {lane: queue for queue, lane in LANE_OF_QUEUE.items()}
_TRIES: Final = 5


class Replays(Protocol):
    """The records, as a replay reads and changes them. Methods raise `StoreUnavailable`."""

    async def look(self, message_id: str) -> Record | None:
        """Read the record; an outcome that came too late counts as its attempt's result."""
        ...

    async def begin(self, message: Message) -> int | None:
        """Insert a waiting record; returns the round of its copy, None: a record exists."""
        ...

    async def renew(
        self, record: Record, expires_at: datetime, message: Message | None
    ) -> int | None:
        """Change an ended record to `waiting` with a new budget, by compare-and-set.

        Args:
            record: as read.
            expires_at: end of its new life.
            message: its content, if the record was made of an unreadable command.

        Returns:
            The round its copy must carry; None: the record changed.
        """
        ...


class Outlet(Protocol):
    """Publishes copies."""

    async def back(self, letter: DeadLetter, queue: str, headers: Mapping[str, object]) -> None:
        """Publish a mandatory copy with the same body to `queue`; returns when confirmed."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """Options of a replay that the operator gives."""

    expires_at: datetime | None = None
    """The end of the new life."""
    lane: Lane | None = None
    """The lane for dead letters that came through no lane."""
    accept_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """A copy was published."""

    queue: str
    note: str


@dataclass(frozen=True, slots=True)
class NotReplayed:
    """The replay was refused and nothing was changed."""

    why: str


@dataclass(frozen=True, slots=True)
class Replay:
    """Replays dead letters. The caller acknowledges a letter only if the result is `Replayed`.

    Args:
        decoder: decodes bytes into a message, with the worker's own settings.
        records: the records.
        outlet: publishes the copy.
        clock: time.
        who: the operator, named in the copy's header.
    """

    decoder: CommandDecoder
    records: Replays
    outlet: Outlet
    clock: Clock
    who: str

    async def __call__(self, letter: DeadLetter, wish: Wish) -> Replayed | NotReplayed:
        """Replay one dead letter.

        Raises `StoreUnavailable` and the errors of the outlet. Then the result is not known.
        """
        if letter.source == Queue.REPORTS:
            await self._back(letter, Queue.REPORTS, {})
            return Replayed(Queue.REPORTS, "delivery report")
        lane = LANE_OF_QUEUE.get(letter.source) or wish.lane  # type: ignore[call-overload]  # any text may be asked
        if lane is None:
            return NotReplayed(f"it came through no lane but {letter.source}: give --lane")
        message = self._understand(letter, lane)
        if isinstance(message, NotReplayed):
            return message
        return await self._message(letter, message, wish)

    def _understand(self, letter: DeadLetter, lane: Lane) -> Message | NotReplayed:
        """Decode it as if published now. Only its record says when its old life ends."""
        seen = {k: v for k, v in letter.incoming.headers.items() if k != Header.FIRST_AT}
        fresh = replace(letter.incoming, queue=QUEUE_OF_LANE[lane], headers=seen)
        message = self.decoder.decode(fresh, self.clock.now())
        if isinstance(message, Refusal):
            return NotReplayed(f"its body cannot be understood: {message.reason}")
        return message

    async def _message(
        self, letter: DeadLetter, message: Message, wish: Wish
    ) -> Replayed | NotReplayed:
        for _ in range(_TRIES):
            record = await self.records.look(message.id)
            refused = _refusal(record, message, wish)
            if refused is not None:
                return refused
            step = await self._step(record, message, letter, wish)
            if isinstance(step, NotReplayed):
                return step
            if step is not None:
                lane = record.lane if record and _frozen(record, letter) else message.lane
                queue = QUEUE_OF_LANE[lane]
                headers = round_headers(self.decoder.key, letter.incoming, step)
                await self._back(letter, queue, headers)
                return Replayed(queue, _note(record))
        return NotReplayed("its record keeps changing: try again")

    async def _step(
        self, record: Record | None, message: Message, letter: DeadLetter, wish: Wish
    ) -> int | NotReplayed | None:
        """The round the copy carries; None: another write won, so look again."""
        if record is not None and record.state is State.WAITING:
            return record.round
        frozen = record is not None and _frozen(record, letter)
        own = record.expires_at if record and frozen else message.expires_at
        expires_at = wish.expires_at or own
        if expires_at <= self.clock.now():
            return NotReplayed(f"its life ended at {own:%Y-%m-%d %H:%M:%S} UTC: give --expires-at")
        fresh = replace(message, expires_at=expires_at)
        if record is None:
            return await self.records.begin(fresh)
        return await self.records.renew(record, expires_at, None if frozen else fresh)

    async def _back(self, letter: DeadLetter, queue: str, headers: Mapping[str, object]) -> None:
        seen = letter.first_at or letter.last_at or self.clock.now()
        mark: dict[str, object] = {Header.REPLAY: self.who}
        if queue != Queue.REPORTS:
            mark[Header.FIRST_AT] = (
                seen.isoformat()
            )  # marks a copy, so that the worker looks before it inserts
        await self.outlet.back(letter, queue, {**mark, **headers})


def _refusal(record: Record | None, message: Message, wish: Wish) -> NotReplayed | None:
    """Why this record must not be replayed; None: it may be."""
    why = None
    if record is None:
        return None
    if record.fingerprint and not message.is_content_of(record):
        why = "id conflict: another message has this id; publish it under a new one"
    elif record.state is State.SUBMITTING:
        why = "it is in a worker's hands now: try again later"
    elif record.state is not State.WAITING:
        why = _taken(record, wish)
        if record.state is State.EXPIRED and wish.expires_at is None:
            why = why or "it expired: give --expires-at"
    return NotReplayed(why) if why else None


def _taken(record: Record, wish: Wish) -> str | None:
    attempt = record.possibly_sent()
    if attempt is None or wish.accept_duplicate:
        return None
    how = "may have taken it" if attempt.in_doubt else "took it"
    return f"{attempt.provider} {how}: --accept-duplicate sends it all the same; else drop it"


def _frozen(record: Record, letter: DeadLetter) -> bool:
    """Whether the record has lane and life from a first delivery through a lane."""
    return bool(record.fingerprint) and letter.source in LANE_OF_QUEUE


def _note(record: Record | None) -> str:
    if record is None:
        return "published anew: there was no record"
    if record.state is State.WAITING:
        return f"its copy of round {record.round} published again"
    return f"was {record.state}"
