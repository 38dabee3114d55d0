"""A whole delivery: AMQP properties and body as octets, through the library to what handlers get.

Then the copies that a worker makes of it, as the broker gives them back: a retry tier adds its
headers, and a dead letter is read and replayed.
"""

from __future__ import annotations

import functools
import json
import struct
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import pamqp.frame
from aio_pika.message import IncomingMessage
from aiormq.abc import DeliveredMessage
from pamqp import encode
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader

from contracts.names import Exchange, Header, Queue
from tests.support import hostile
from tests.support.fakes import KEY, deaths
from tests.torture.fuzz import amqp, corpus, mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import headers as tables
from tests.torture.fuzz.targets.refusals import quotes_nothing
from worker.broker import dead, publisher, tolerant_decoding
from worker.broker.consumer import to_incoming
from worker.handlers.copies import copy_headers, proved
from worker.handlers.dead_letters import dead_letter
from worker.handlers.deaths import newest_death
from worker.handlers.decode import LANE_OF_QUEUE, carried, first_seen, moment, text_header

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from pamqp.common import FieldTable

    from worker.ports.broker import Incoming

FRAME_MAX: Final = 131_072
"""Longest frame that a broker takes by default."""
NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_ROUND: Final = 3
_REASONS: Final = frozenset({"rejected", "expired", "maxlen", "delivery_limit", "unknown reason"})


# --- the form of an input --------------------------------------------------------------------


def joined(properties: bytes, body: bytes) -> bytes:
    """One input: length of the properties, properties, body."""
    return amqp.sized(properties) + body


def parted(data: bytes) -> tuple[bytes, bytes]:
    """Properties and body of an input."""
    ends = 4 + int.from_bytes(data[:4], "big")
    return data[4:ends], data[ends:]


# --- through the library -----------------------------------------------------------------------


def decoded(properties: bytes) -> ContentHeader | None:
    """The header frame with these properties; None: the library refuses it by its own exception."""
    payload = struct.pack(">HHQ", 60, 0, 0) + properties
    frame = struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce"
    try:
        return cast("ContentHeader", pamqp.frame.unmarshal(frame)[2])
    except PAMQPException:
        return None


def delivered(header: ContentHeader, body: bytes, exchange: str, queue: str) -> Incoming:
    """What a handler gets of a delivery with this header."""
    deliver = Basic.Deliver("tag", 1, False, exchange, "send")  # noqa: FBT003 - as the library builds it
    channel = SimpleNamespace(is_closed=False)
    message = DeliveredMessage(deliver, header, body, channel)
    return to_incoming(IncomingMessage(message, no_ack=True), queue)


# --- the check ---------------------------------------------------------------------------------


def check(data: bytes) -> str:
    """Deliver it, copy it, and judge what comes back."""
    tolerant_decoding.install()
    properties, body = parted(data)
    header = decoded(properties)
    try:
        given = amqp.properties(properties)
    except ValueError:
        given = None
    must(header is not None or given is None, "every property of a publisher is decoded", given)
    if header is None:
        return "refused: no properties"
    incoming = delivered(header, body, Exchange.COMMANDS, Queue.BULK)
    _is_typed(incoming)
    _is_foreign(incoming)
    _is_total(incoming)
    _is_copied(incoming)
    _is_a_dead_letter(incoming)
    return f"read: {', '.join(sorted(given or ()))}, {min(len(incoming.headers), 3)} headers"


def _is_typed(incoming: Incoming) -> None:
    texts = (incoming.message_id, incoming.type, incoming.content_type, incoming.correlation_id)
    texts += (incoming.user_id, incoming.routing_key)
    must(all(each is None or type(each) is str for each in texts), "texts are texts", texts)
    time = incoming.timestamp
    must(time is None or time.tzinfo is not None, "a time has an offset", time)
    must(all(type(name) is str for name in incoming.headers), "names of headers are texts")


def _is_foreign(incoming: Incoming) -> None:
    """Nothing that a publisher wrote counts as ours."""
    ours = [name for name in incoming.headers if name.startswith("sms-")]
    must(not ours, "a publisher cannot write our headers", ours)


def _is_total(incoming: Incoming) -> None:
    """Every reader of headers returns something of its own type."""
    for headers in (incoming.headers, _as_ours(incoming.headers)):
        taken = _with_headers(incoming, headers)
        for each in Header:
            must(0 <= carried(taken, each) <= 2**31, "a count is bounded", each)
            text = text_header(taken, each)
            must(text is None or type(text) is str, "a text is a text", each)
            time = moment(taken, each)
            must(time is None or time.utcoffset() == timedelta(0), "a time is in UTC", time)
        must(first_seen(taken, NOW) <= NOW, "nothing was first seen later than now")
        must(Header.ROUND not in proved([KEY], taken).headers, "a round needs a seal of ours")
        _is_death(headers)


def _is_death(headers: dict[str, Any]) -> None:
    death = newest_death(headers, LANE_OF_QUEUE)
    if death is not None:
        must(death.queue in LANE_OF_QUEUE, "a death is in a queue that was asked for", death)
        must(death.reason in _REASONS, "the reason of a death is a known one", death)
    listed = headers.get("x-death")
    if isinstance(listed, list) and all(isinstance(each, dict) for each in listed):
        queues = [each.get("queue") for each in listed if isinstance(each.get("queue"), str)]
        first = next((queue for queue in queues if queue in LANE_OF_QUEUE), None)
        must(first is None or (death and death.queue == first), "the newest death counts", headers)


def _as_ours(headers: Any) -> dict[str, Any]:
    """The same values, under our own names."""
    names = (*Header, "x-death")
    return {**headers, **dict(zip(names, headers.values(), strict=False))}


def _with_headers(incoming: Incoming, headers: Any) -> Incoming:
    return functools.partial(type(incoming), **_fields(incoming, headers=headers))()


def _fields(incoming: Incoming, **changes: Any) -> dict[str, Any]:
    return {name: getattr(incoming, name) for name in type(incoming).__slots__} | changes


# --- copies ----------------------------------------------------------------------------------


def _is_copied(incoming: Incoming) -> None:
    """A copy in a retry tier comes back readable, with our headers, however often."""
    for _ in range(3):
        ours = copy_headers(KEY, incoming, _ROUND, NOW)
        again = _back(_sent(incoming, ours), incoming.body, Exchange.REQUEUE)
        must(again.body == incoming.body, "a copy has the same body")
        must(carried(again, Header.ROUND) == _ROUND, "a copy bears our headers", again.headers)
        must(again.user_id is None, "a copy has no user of its publisher")
        must(not {"CC", "BCC"} & again.headers.keys(), "a copy goes to one queue")
        sealed = carried(proved([KEY], again), Header.ROUND) == _ROUND
        must(sealed, "a copy proves its round", (incoming.message_id, again.message_id))
        death = newest_death(again.headers, {"sms.retry.5s"})
        must(death, "what the broker adds to a copy can be read")
        incoming = again


def _sent(incoming: Incoming, ours: Any) -> Basic.Properties:
    """The properties of a copy, as they are published."""
    properties = publisher._copied(incoming, publisher._ours(incoming, ours))
    _fits_a_frame(properties)
    return properties


def _fits_a_frame(properties: Basic.Properties) -> None:
    frame = pamqp.frame.marshal(ContentHeader(body_size=0, properties=properties), 1)
    must(len(frame) <= FRAME_MAX, "a header frame is one that every broker takes", len(frame))


def _back(properties: Basic.Properties, body: bytes, exchange: str) -> Incoming:
    """The copy as the broker delivers it after it waited in a tier."""
    died = deaths(("sms.retry.5s", "expired"), ("sms.send.bulk", "rejected"))
    table = encode.field_table({**(properties.headers or {}), **cast("FieldTable", died)})
    octets = amqp.properties(properties.marshal()) | {"headers": table[4:]}
    header = decoded(amqp.of_properties(octets))
    must(header is not None, "a copy can be decoded")
    return delivered(cast("ContentHeader", header), body, exchange, Queue.BULK)


def _is_a_dead_letter(incoming: Incoming) -> None:
    """A dead letter names its reason, shows nothing private, and can be replayed."""
    reason = f"rejected: {incoming.body[:10_000].decode(errors='replace')}"
    about = publisher._of_dead(incoming, reason, {Header.ATTEMPTS: 2})
    letter = dead_letter(_back(_sent(incoming, about), incoming.body, Exchange.DEAD))
    must(letter.reason.startswith("rejected:"), "a dead letter has its reason", letter.reason)
    must(letter.source == Queue.BULK, "a dead letter has its source", letter.source)
    must(letter.attempts == 2, "a dead letter counts its attempts", letter.attempts)
    shown = {**letter.visible(), "id": letter.name}
    quotes_nothing(json.dumps(list(shown.values())), (letter.name, str(shown.get("messageId"))))
    message = dead._copy(letter, {Header.REPLAY: "ann", Header.ROUND: _ROUND})
    _fits_a_frame(message.properties)


# --- seeds and mutation ------------------------------------------------------------------------

_BODIES: Final = (b"", b"{}", b"\xff\x00", b'{"messageId": " m-1"}', b"x" * 5_000)


@functools.cache
def seeds() -> Sequence[bytes]:
    """Golden commands under hostile properties, and those that once stopped a worker."""
    bodies = [*corpus.golden("SendSms.*.json"), *_BODIES]
    made = hostile.generated(hostile.PROPERTIES, 80)
    names = ("", "m-1", "m-2", " odd ")
    return [
        joined(
            each.octets(message_id=names[number % 4], correlation_id="c", expires=True),
            bodies[number % len(bodies)],
        )
        for number, each in enumerate(made)
    ]


_VALUES: Final = (
    b"", b"m-1", b" m-1", b"m-2 ", b"\xff\xfe", b"\x00" * 8, b"\xff" * 8, b"x" * 255, b"\x01",
    b"\x02", b"\x03", b"application/json", b"SendSms.v1", b"60000", b"-1", b"9" * 255,
    b"\xe2\x80\xa8", b"\x00\x00\x00\x00\x69\xa4\x2d\x00", "é".encode() * 100, b"guest",
)  # fmt: skip
_body_mutator: Final = mutate.json_like(("messageId", "to", "text", "senderId", "expiresAt"))


def mutated(generator: random.Random, data: bytes) -> bytes | None:
    """Change some properties, the headers or the body, so that the frame stays right."""
    properties, body = parted(data)
    try:
        values = amqp.properties(properties)
    except ValueError:
        return None
    for _ in range(generator.choice((1, 1, 2, 3))):
        match generator.randrange(4):
            case 0:
                body = _body_mutator(generator, body) or body
            case 1:
                table = values.get("headers", b"")
                values["headers"] = tables.mutated(generator, table) or table
            case 2:
                values.pop(generator.choice(amqp.PROPERTIES)[1], None)
            case _:
                name = generator.choice([name for _, name in amqp.PROPERTIES if name != "headers"])
                values[name] = generator.choice(_VALUES)
    return joined(amqp.of_properties(values), body[:12_000])


TARGET: Final = Target(
    name="delivery",
    takes="length of the AMQP properties, the properties, the body",
    holds="every property is decoded; nothing of a publisher counts as ours; copies fit a frame, "
    "come back readable with our headers and prove their round; dead letters keep their reason",
    check=check,
    seeds=seeds,
    share=90,
    mutators=(mutated,),
    words=_VALUES,
    longest=140_000,
)
