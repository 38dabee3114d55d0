"""Hostile deliveries to the real handlers of the lanes, of lost, unrouted and reported messages.

Each comes between two ordinary commands, which must not feel it. A delivery comes twice: nothing is
sent again. What was announced, stored and parked is looked at afterwards.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import bson
from bson.codec_options import CodecOptions
from pamqp import encode as encode_table

from contracts.codec import encode
from contracts.commands import DecodeError, decode_send
from contracts.events import decode_event
from contracts.names import Exchange, Queue
from tests.support.fakes import KEY, HandClock, deaths, incoming
from tests.support.send_desk import MAYBE, SICK, Desk
from tests.torture.fuzz import amqp, arriving, corpus, listening, looping
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import copies, delivery
from tests.torture.fuzz.targets.refusals import is_line, quotes_nothing
from worker.app.consumers import wrap
from worker.broker import tolerant_decoding
from worker.broker.publisher import _copied, _ours
from worker.broker.tolerant_decoding import portable
from worker.domain.messages.message import State
from worker.domain.messages.outcome import Accepted, Blame, NotSent, Refused
from worker.handlers.copies import copy_headers
from worker.handlers.lost import LostHandler
from worker.handlers.middleware import bounded_errors, logged
from worker.handlers.unrouted import UnroutedHandler
from worker.ports.broker import Settlement
from worker.store import documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.domain.messages.outcome import Outcome
    from worker.ports.broker import Handler, Incoming

_TAKEN: Final = Accepted("p-1")
_OUTCOMES: Final[tuple[tuple[list[Outcome], list[Outcome]], ...]] = (
    ([], []),
    ([SICK], []),
    ([SICK, SICK], [SICK, SICK]),
    ([MAYBE], [MAYBE]),
    ([MAYBE], [_TAKEN]),
    ([Refused("406", "UserInBlacklist", opted_out=True)], []),
    ([NotSent(Blame.RECIPIENT, "403", "InvalidPhoneNumber")], [SICK, Accepted("\u202e")]),
)
"""What the target and legacy answer, in turn; then they accept."""
_QUEUES: Final = (
    Queue.TRANSACTIONAL, Queue.BULK, Queue.TRANSACTIONAL, Queue.LOST, Queue.UNROUTED_COMMANDS,
)  # fmt: skip
_MOST: Final = 6
"""Messages that one delivery may cause."""
_AWARE: Final = CodecOptions(tz_aware=True)


@dataclass
class _Case:
    """One input, taken apart."""

    delivery: Incoming
    outcomes: tuple[list[Outcome], list[Outcome]]

    @classmethod
    def of(cls, data: bytes) -> _Case | None:
        """The bytes decide about queue, exchange and outcomes too; None: the library refuses it."""
        properties, body = arriving.parted(data)
        header = arriving.decoded(properties)
        if header is None:
            return None
        chosen = crc32(data)
        queue = _QUEUES[chosen % len(_QUEUES)]
        exchange = Exchange.REQUEUE if chosen & 64 else Exchange.COMMANDS
        exchange = Exchange.LOST if queue is Queue.LOST else exchange
        made = arriving.delivered(header, body, exchange, queue)
        made = replace(made, redelivered=bool(chosen & 128))
        return cls(made, _OUTCOMES[chosen // 256 % len(_OUTCOMES)])

    @property
    def queue(self) -> Queue:
        return Queue(self.delivery.queue)


def check(data: bytes) -> str:
    """Handle it between two neighbours, and judge what became of all."""
    tolerant_decoding.install()
    case = _Case.of(data)
    if case is None:
        return "refused: no properties"
    desk = Desk()
    with listening.heard() as lines:
        looping.awaited(_handled(desk, case))
    _says_nothing(case, desk, lines)
    _can_be_stored(case, desk)
    ends = {record.record.state for name, record in desk.shelf.items() if name not in _NEIGHBOURS}
    how = "read" if ends else "refused"
    return f"{how}: {case.queue} {desk.publisher.order[1:-1][:4]} {sorted(ends)}"


_NEIGHBOURS: Final = ("neighbour before", "neighbour after")
_NEIGHBOUR: Final = "0966000111"
"""The number of the neighbours; no input has it, so no opt-out of an input is theirs."""
_SETTLED: Final = frozenset({State.ACCEPTED, State.FAILED, State.REJECTED, State.EXPIRED})


async def _handled(desk: Desk, case: _Case) -> None:
    await _neighbour(desk, _NEIGHBOURS[0])
    begins = len(desk.publisher.order)
    handle = _wrapped(desk, case.queue)
    desk.target.outcomes, desk.legacy.outcomes = map(list, case.outcomes)
    settled = await handle(case.delivery)
    must(settled is Settlement.ACK, "a delivery is settled", settled)
    caused = desk.publisher.order[begins:]
    must(0 < len(caused) <= _MOST, "a delivery is answered or parked, by a few messages", caused)
    must(desk.idle, "nobody keeps a permit")
    await _again(desk, handle, case)
    desk.target.outcomes, desk.legacy.outcomes = [], []
    await _neighbour(desk, _NEIGHBOURS[1])


def _wrapped(desk: Desk, queue: Queue) -> Handler:
    """The handler of a queue as the worker wraps it, but for the traces."""
    if queue is Queue.LOST:
        return wrap(LostHandler(desk.settler), [logged])
    if queue is Queue.UNROUTED_COMMANDS:
        return wrap(UnroutedHandler(desk.settler), [logged])
    errors = functools.partial(
        bounded_errors,
        give_up=desk.settler.give_up,
        publisher=desk.publisher,
        clock=desk.clock,
    )
    return wrap(desk.send, [logged, errors])


async def _neighbour(desk: Desk, name: str) -> None:
    """An ordinary command is sent once and announced."""
    calls = desk.calls
    await wrap(desk.send, [logged])(incoming(name, fields={"to": _NEIGHBOUR}))
    must(desk.calls == calls + 1, "a neighbour is sent once", name)
    must(desk.record(name).state is State.ACCEPTED, "a neighbour is accepted", name)


async def _again(desk: Desk, handle: Handler, case: _Case) -> None:
    """A redelivery of what is settled sends nothing more."""
    ours = [kept.record for name, kept in desk.shelf.items() if name not in _NEIGHBOURS]
    must(len(ours) <= 1, "one delivery makes one record at most", [each.id for each in ours])
    calls = desk.calls
    await handle(replace(case.delivery, redelivered=True))
    settled = any(each.state in _SETTLED for each in ours)
    must(not settled or desk.calls == calls, "what is settled is not sent again", ours)


def _says_nothing(case: _Case, desk: Desk, lines: Sequence[str]) -> None:
    """Events, reasons and logs are well formed, and hold no text and no number."""
    ids = _ids(case)
    failed = [line for line in lines if "handler failed" in line]
    must(not failed, "no error of ours", failed)
    for line in lines:
        quotes_nothing(line, ids)
    for reason, _ in desk.publisher.dead_letters:
        is_line(reason)
        quotes_nothing(reason, ids)
    for event in desk.publisher.events:
        read = decode_event(event.body)
        must(encode(read) == event.body, "an event reads the same", event.body[:300])
        quotes_nothing(event.body.decode(), ids)
    for _, headers in desk.publisher.parked:
        parked = replace(case.delivery, headers=headers)
        copies.fits_a_frame(_copied(parked, _ours(parked, {})))


def _ids(case: _Case) -> list[str]:
    """What may be shown: the ids that the publisher chose, and the free names it chose."""
    given = case.delivery
    shown = [given.message_id, given.correlation_id, given.type, given.routing_key]
    try:
        command = decode_send(given.body, message_id=given.message_id, type_=None)
    except DecodeError as error:
        return [*filter(None, [*shown, error.message_id])]
    shown += [command.message_id, command.user_id, command.message_type, command.sender_id]
    return [*filter(None, shown)]


def _can_be_stored(case: _Case, desk: Desk) -> None:
    """What is known of a message fits the store, and is read back as it was."""
    message = desk.settler.decoder.decode(case.delivery, desk.clock.now())
    if not hasattr(message, "fingerprint"):
        return
    new = documents.of_new(message.id, State.SUBMITTING, "t", desk.clock.now())
    read: Any = bson.decode(bson.encode({**new, **documents.of_message(message)}), _AWARE)
    record = documents.record(read)
    same = (record.id, record.fingerprint, record.recipient.hash, record.branch_id, record.user_id)
    meant = (message.id, message.fingerprint, message.recipient.hash, message.branch_id,
             message.user_id)  # fmt: skip
    must(same == meant, "what is stored of a message reads the same", (same, meant))
    apart = abs(record.expires_at - message.expires_at)
    must(apart < timedelta(milliseconds=1), "its end reads the same", apart)


@functools.cache
def seeds() -> Sequence[bytes]:
    """Commands that are sent, copies of them in every round, and hostile deliveries."""
    bodies = corpus.golden("SendSms.*.json")
    plain = [arriving.joined(amqp.of_properties({}), body) for body in bodies]
    parked = [arriving.joined(_copy(body, round_), body) for body in bodies for round_ in (1, 2)]
    return [*plain * 5, *parked * 3, *delivery.seeds()]


def _copy(body: bytes, round_: int) -> bytes:
    """Properties of a copy that a worker parked, as they come back from `sms.lost`."""
    original = incoming(body=body, message_id=None)
    headers = {**copy_headers(KEY, original, round_, HandClock().now()), **_DIED}
    table = encode_table.field_table(portable(headers))[4:]
    return amqp.of_properties({"headers": table, "message_id": b"m-2", "delivery_mode": b"\x02"})


_DIED: Final = deaths(("sms.send.transactional", "delivery_limit"), ("sms.retry.5s", "expired"))

TARGET: Final = Target(
    name="handlers",
    takes="a delivery, as for `delivery`; its bytes choose queue and outcomes too",
    holds="settled, answered or parked with a reason, without an error of ours; neighbours "
    "unharmed; nothing sent again; events and records well formed; nothing quoted",
    check=check,
    seeds=seeds,
    share=50,
    mutators=(delivery.mutated,),
    words=delivery.TARGET.words,
    longest=140_000,
)
