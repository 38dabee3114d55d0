"""From the bytes of a command to a `Message`, or the reason why not.

Rules: everything a person must know about a refusal is in the refusal; neither text nor full
number ever is. The life of a message counts from when we first saw it and does not start anew with
a copy. The AMQP property `timestamp` decides nothing: publishers send it cut to a byte, as local
time, or as zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from contracts.commands import (
    VALIDATION,
    VALIDATION_PROVIDER,
    DecodeError,
    SendSms,
    decode_send,
)
from contracts.names import Header, Queue
from worker.domain.messages import phone, segments
from worker.domain.messages.message import Lane, Message, OnUnknown
from worker.domain.migration.phases import Role
from worker.numbers import NotANumber

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from worker.ports.broker import Incoming

LANE_OF_QUEUE = {Queue.TRANSACTIONAL: Lane.TRANSACTIONAL, Queue.BULK: Lane.BULK}
_TRACE_CONTEXT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
"""W3C Trace Context, level 1."""
_MOST = 2**31
"""No count of ours comes near it."""
_POLICY = {Lane.TRANSACTIONAL: OnUnknown.RESEND, Lane.BULK: OnUnknown.HOLD}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command nobody will process."""

    reason: str
    problems: tuple[str, ...] = ()
    message_id: str | None = None

    def in_words(self) -> str:
        """Reason and first problem, in one line for a dead letter."""
        first = self.problems[0] if self.problems else ""
        return self.reason if first in self.reason else f"{self.reason}: {first}"


@dataclass(frozen=True, slots=True)
class CommandDecoder:
    """Decodes commands.

    Args:
        normalise: input -> E.164 or why not.
        key: of recipient hashes and fingerprints.
        life_s: default life by lane, seconds.
        policy: by message type, where it differs from the lane's.
        own_numbers: phones of our own, E.164, as in force: what makes a message a probe.
    """

    normalise: Callable[[str], str | NotANumber]
    key: bytes
    life_s: Mapping[Lane, float]
    policy: Mapping[str, OnUnknown]
    own_numbers: Callable[[], Container[str]] = field(default=frozenset[str])

    def decode(self, incoming: Incoming, now: datetime) -> Message | Refusal:
        """Decode a delivery."""
        try:
            command = decode_send(
                incoming.body,
                message_id=incoming.message_id,
                type_=incoming.type,
                content_type=incoming.content_type,
            )
        except DecodeError as error:
            return Refusal(error.reason, error.problems, error.message_id)
        to = self.normalise(command.to)
        if isinstance(to, NotANumber):
            problem = f"to: {to.problem} ({phone.mask(command.to)})"
            return Refusal(problem, (problem,), command.message_id)
        return self._message(command, to, incoming, now)

    def _message(self, command: SendSms, to: str, incoming: Incoming, now: datetime) -> Message:
        lane = LANE_OF_QUEUE.get(Queue(incoming.queue), Lane.BULK)
        life = timedelta(seconds=self.life_s[lane])
        return Message(
            id=command.message_id,
            to=to,
            text=command.text,
            fingerprint=phone.fingerprint(self.key, to, command.text, command.sender_id),
            recipient=phone.recipient(self.key, to),
            lane=lane,
            on_unknown=self.policy.get(command.message_type, _POLICY[lane]),
            expires_at=command.expires_at or first_seen(incoming, now) + life,
            message_type=command.message_type,
            sender_id=command.sender_id,
            user_id=command.user_id,
            branch_id=command.branch_id,
            correlation_id=incoming.correlation_id,
            traceparent=traceparent_of(incoming),
            segments=segments.count(command.text).parts,
            probe=self._probe(command, to),
        )

    def _probe(self, command: SendSms, to: str) -> Role | None:
        """Whom it validates; whoever may have published it, only our own phones get it."""
        if command.message_type != VALIDATION or to not in self.own_numbers():
            return None
        named = (command.metadata or {}).get(VALIDATION_PROVIDER)
        return next((role for role in Role if role.value == named), None)


def traceparent_of(incoming: Incoming) -> str | None:
    """The caller's trace; what is none is dropped, for it would go into HTTP headers."""
    value = text_header(incoming, Header.TRACEPARENT) or ""
    return value if _TRACE_CONTEXT.fullmatch(value) else None


def first_seen(incoming: Incoming, now: datetime) -> datetime:
    """When we first saw the message, by our own header; never later than now."""
    return min(moment(incoming, Header.FIRST_AT) or now, now)


def moment(incoming: Incoming, header: Header) -> datetime | None:
    """A time from a header, in UTC unless it says otherwise; None when absent or not a time."""
    try:
        at = datetime.fromisoformat(text_header(incoming, header) or "")
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def carried(incoming: Incoming, header: Header) -> int:
    """A count from a header of ours; 0 when absent or not a count."""
    value = incoming.headers.get(header)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 < value <= _MOST else 0  # type: ignore[operator,return-value]


def text_header(incoming: Incoming, header: Header) -> str | None:
    """A header as text; None when absent or something else."""
    value = incoming.headers.get(header)
    if isinstance(value, bytes | bytearray):
        value = value.decode(errors="replace")
    return value if isinstance(value, str) else None
