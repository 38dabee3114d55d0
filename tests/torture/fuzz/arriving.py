"""Deliveries as the library hands them over: octets of properties and a body, and what they become.

An input is the length of the properties, the properties, and the body.
"""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pamqp.frame
from aio_pika.message import IncomingMessage
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException

from tests.torture.fuzz import amqp
from worker.broker.consumer import to_incoming

if TYPE_CHECKING:
    from pamqp.header import ContentHeader

    from worker.ports.broker import Incoming


def joined(properties: bytes, body: bytes) -> bytes:
    """One input: length of the properties, properties, body."""
    return amqp.sized(properties) + body


def parted(data: bytes) -> tuple[bytes, bytes]:
    """Properties and body of an input."""
    ends = 4 + int.from_bytes(data[:4], "big")
    return data[4:ends], data[ends:]


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
