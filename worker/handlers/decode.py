"""Decodes the bytes of a command into a `Message`, or a refusal with its reason.

Rules: a refusal holds all that a person must know about it, but never the text or the full number.
The life of a message counts from when we first saw it, and a copy does not start it again. The AMQP
property `timestamp` is ignored, because publishers send it cut to a byte, as local time, or as
zero.
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
from worker.domain.messages import masking, segments
from worker.domain.messages.message import Lane, Message, OnUnknown
from worker.domain.migration.phases import Role
from worker.numbers import NotANumber

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from worker.ports.broker import Incoming

LANE_OF_QUEUE = {Queue.TRANSACTIONAL: Lane.TRANSACTIONAL, Queue.BULK: Lane.BULK}
_TRACE_CONTEXT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
"""A `traceparent` of W3C Trace Context, level 1."""
_MOST = 2**31
"""Upper bound of a count in a header. None of our own counts comes near it."""
_POLICY = {Lane.TRANSACTIONAL: OnUnknown.RESEND, Lane.BULK: OnUnknown.HOLD}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that is refused and not processed."""

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
        normalise: turns input into E.164 or says why it is no number.
        key: key of recipient hashes and fingerprints.
        other_keys: keys with which the same may be stored, too, while the key is changed.
        life_s: default life by lane, seconds.
        policy: by message type, where it differs from the policy of the lane.
        own_numbers: phones of our own, E.164, as in force. Only messages to them can be probes.
    """

    normalise: Callable[[str], str | NotANumber]
    key: bytes
    life_s: Mapping[Lane, float]
    policy: Mapping[str, OnUnknown]
    own_numbers: Callable[[], Container[str]] = field(default=frozenset[str])
    other_keys: tuple[bytes, ...] = ()

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
            problem = f"to: {to.problem} ({masking.mask(command.to)})"
            return Refusal(problem, (problem,), command.message_id)
        return self._message(command, to, incoming, now)

    def _message(self, command: SendSms, to: str, incoming: Incoming, now: datetime) -> Message:
        lane = LANE_OF_QUEUE.get(Queue(incoming.queue), Lane.BULK)
        life = timedelta(seconds=self.life_s[lane])
        content, *others = (
            masking.fingerprint(key, to, command.text, command.sender_id)
            for key in (self.key, *self.other_keys)
        )
        return Message(
            id=command.message_id,
            to=to,
            text=command.text,
            fingerprint=content,
            other_fingerprints=tuple(others),
            recipient=masking.recipient(self.key, to, self.other_keys),
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
        """The provider a probe validates; None: no probe. A probe goes only to our own phones."""
        if command.message_type != VALIDATION or to not in self.own_numbers():
            return None
        named = (command.metadata or {}).get(VALIDATION_PROVIDER)
        return next((role for role in Role if role.value == named), None)


def traceparent_of(incoming: Incoming) -> str | None:
    """The caller's trace. An invalid one is dropped, because it would go into HTTP headers."""
    value = text_header(incoming, Header.TRACEPARENT) or ""
    return value if _TRACE_CONTEXT.fullmatch(value) else None


def first_seen(incoming: Incoming, now: datetime) -> datetime:
    """When we first saw the message, from our own header; never later than now."""
    return min(moment(incoming, Header.FIRST_AT) or now, now)


def moment(incoming: Incoming, header: Header) -> datetime | None:
    """Read a time from a header, in UTC unless it says otherwise; None: absent or not a time."""
    try:
        time = datetime.fromisoformat(text_header(incoming, header) or "")
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def carried(incoming: Incoming, header: Header) -> int:
    """Read a count from a header of ours; 0: absent or not a count."""
    value = incoming.headers.get(header)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 < value <= _MOST else 0  # type: ignore[operator,return-value]


def text_header(incoming: Incoming, header: Header) -> str | None:
    """Read a header as text; None: absent or not text."""
    value = incoming.headers.get(header)
    if isinstance(value, bytes | bytearray):
        value = value.decode(errors="replace")
    return value if isinstance(value, str) else None
