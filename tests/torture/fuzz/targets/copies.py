"""The copies that a worker makes of a delivery, as the broker gives them back.

A retry tier adds its headers, and a dead letter is read and replayed.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import pamqp.frame
from pamqp import encode
from pamqp.header import ContentHeader

from contracts.names import Exchange, Header, Queue
from tests.support.fakes import KEY, deaths
from tests.torture.fuzz import amqp, arriving
from tests.torture.fuzz.target import must
from tests.torture.fuzz.targets.refusals import quotes_nothing
from worker.broker import dead, publisher
from worker.handlers.copies import copy_headers, proved
from worker.handlers.dead_letters import dead_letter
from worker.handlers.deaths import newest_death
from worker.handlers.decode import carried

if TYPE_CHECKING:
    from pamqp.commands import Basic
    from pamqp.common import FieldTable

    from worker.ports.broker import Incoming

FRAME_MAX: Final = 131_072
"""Longest frame that a broker takes by default."""
NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_ROUND: Final = 3


def are_read(incoming: Incoming) -> None:
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
    fits_a_frame(properties)
    return properties


def fits_a_frame(properties: Basic.Properties) -> None:
    frame = pamqp.frame.marshal(ContentHeader(body_size=0, properties=properties), 1)
    must(len(frame) <= FRAME_MAX, "a header frame is one that every broker takes", len(frame))


def _back(properties: Basic.Properties, body: bytes, exchange: str) -> Incoming:
    """The copy as the broker delivers it after it waited in a tier."""
    died = deaths(("sms.retry.5s", "expired"), ("sms.send.bulk", "rejected"))
    table = encode.field_table({**(properties.headers or {}), **cast("FieldTable", died)})
    octets = amqp.properties(properties.marshal()) | {"headers": table[4:]}
    header = arriving.decoded(amqp.of_properties(octets))
    must(header is not None, "a copy can be decoded")
    return arriving.delivered(cast("ContentHeader", header), body, exchange, Queue.BULK)


def is_a_dead_letter(incoming: Incoming) -> None:
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
    fits_a_frame(message.properties)
