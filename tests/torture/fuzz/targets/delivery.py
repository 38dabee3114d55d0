"""Whole deliveries: AMQP properties and body as octets, through the library to a handler."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from contracts.names import Exchange, Header, Queue
from tests.support import hostile
from tests.support.fakes import KEY
from tests.torture.fuzz import amqp, arriving, corpus, mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import copies
from tests.torture.fuzz.targets import headers as tables
from worker.broker import tolerant_decoding
from worker.handlers.copies import proved
from worker.handlers.deaths import newest_death
from worker.handlers.decode import LANE_OF_QUEUE, carried, first_seen, moment, text_header

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from worker.ports.broker import Incoming

_REASONS: Final = frozenset({"rejected", "expired", "maxlen", "delivery_limit", "unknown reason"})


# --- the check ---------------------------------------------------------------------------------


def check(data: bytes) -> str:
    """Deliver it, copy it, and judge what comes back."""
    tolerant_decoding.install()
    properties, body = arriving.parted(data)
    header = arriving.decoded(properties)
    try:
        given = amqp.properties(properties)
    except ValueError:
        given = None
    must(header is not None or given is None, "every property of a publisher is decoded", given)
    if header is None:
        return "refused: no properties"
    incoming = arriving.delivered(header, body, Exchange.COMMANDS, Queue.BULK)
    _is_typed(incoming)
    _is_foreign(incoming)
    _is_total(incoming)
    copies.are_read(incoming)
    copies.is_a_dead_letter(incoming)
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
        taken = replace(incoming, headers=headers)
        for each in Header:
            must(0 <= carried(taken, each) <= 2**31, "a count is bounded", each)
            text = text_header(taken, each)
            must(text is None or type(text) is str, "a text is a text", each)
            time = moment(taken, each)
            must(time is None or time.utcoffset() == timedelta(0), "a time is in UTC", time)
        must(first_seen(taken, copies.NOW) <= copies.NOW, "nothing was first seen later than now")
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
    """The same values, under all of our own names."""
    values = list(headers.values()) or [None]
    names = (*Header, "x-death")
    return {**headers, **{name: values[place % len(values)] for place, name in enumerate(names)}}


# --- seeds and mutation ------------------------------------------------------------------------

_BODIES: Final = (b"", b"{}", b"\xff\x00", b'{"messageId": " m-1"}', b"x" * 5_000)


_LONGEST: Final = hostile.entry("big", b"S" + amqp.sized(b"x" * 130_900))
"""A header that fits a frame as long as nothing is added."""
_TIMES: Final = (b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"2026-03-01")


@functools.cache
def seeds() -> Sequence[bytes]:
    """Golden commands under hostile properties, and those that once stopped a worker."""
    bodies = [*corpus.golden("SendSms.*.json"), *_BODIES]
    made = hostile.generated(hostile.PROPERTIES, 80)
    names = ("", "m-1", "m-2", " odd ")
    usual = [
        each.octets(message_id=names[number % 4], correlation_id="c", expires=True)
        for number, each in enumerate(made)
    ]
    times = [hostile.entry("sms-first-at", b"S" + amqp.sized(time)) for time in _TIMES]
    odd = [amqp.of_properties({"headers": table}) for table in (_LONGEST, *times)]
    return [
        arriving.joined(properties, bodies[number % len(bodies)])
        for number, properties in enumerate((*usual, *odd))
    ]


_VALUES: Final = (
    b"", b"m-1", b" m-1", b"m-2 ", b"\xff\xfe", b"\x00" * 8, b"\xff" * 8, b"x" * 255, b"\x01",
    b"\x02", b"\x03", b"application/json", b"SendSms.v1", b"60000", b"-1", b"9" * 255,
    b"\xe2\x80\xa8", b"\x00\x00\x00\x00\x69\xa4\x2d\x00", "é".encode() * 100, b"guest",
)  # fmt: skip
_body_mutator: Final = mutate.json_like(("messageId", "to", "text", "senderId", "expiresAt"))


def mutated(generator: random.Random, data: bytes) -> bytes | None:
    """Change some properties, the headers or the body, so that the frame stays right."""
    properties, body = arriving.parted(data)
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
    return arriving.joined(amqp.of_properties(values), body[:12_000])


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
