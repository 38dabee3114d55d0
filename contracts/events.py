"""The events about messages that the worker publishes on `sms.events`.

Rules: `event` is the routing key, and AMQP `type` says the same. The same fact published twice has
the same `eventId`, so consumers that act on events remember the ids. Numbers are masked; the text
is never here. Consumers ignore unknown fields, and unknown values of the open strings (`code`,
`status`, `reason`, `matchedBy`, `messageType`).

| event | means | what comes after it |
|---|---|---|
| sms.sent | a provider took it | delivered, undelivered, unreported; nothing without reports |
| sms.delivered | the provider reports that it arrived | nothing |
| sms.undelivered | the provider reports that it did not arrive | nothing |
| sms.failed | given up after every attempt was proved not sent | nothing |
| sms.expired | not sent before `expiresAt` | nothing |
| sms.rejected | refused before any attempt: invalid, or the recipient opted out | nothing |
| sms.unknown | it may have left | sent (by a report or resend), failed (late proof), unreported |
| sms.unreported | no report came before the deadline | at most a late report |
"""

from __future__ import annotations

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError

from contracts import problems
from contracts.codec import DecodeError, read_object
from contracts.commands import valid_id
from contracts.model import Amount, Count, Currency, Int64, Moment, Wire

Lane = Literal["transactional", "bulk"]
"""The queue a message first came through."""

Epoch = Annotated[int, Field(strict=True, ge=1)]
"""Number of an attempt within its message, from 1."""


class Cost(Wire):
    """What a provider says the whole message cost."""

    amount: Amount
    currency: Currency


class DeliveryEvent(Wire):
    """The fields of every event."""

    event_id: UUID
    """UUIDv5 of message id, event and ordinal (`contracts.codec.event_id`)."""
    event: str
    """Routing key."""
    occurred_at: Moment
    message_id: str
    lane: Lane | None = None
    """Absent if the command could not be read."""
    recipient: str | None = None
    """Masked, e.g. `+260******456`; absent if the command could not be read."""
    message_type: str | None = None
    """Absent if the command could not be read."""
    user_id: str | None = None
    branch_id: Int64 | None = None
    validation: Literal[True] | None = None
    """True: a validation message of the worker, which concerns only its operators. Absent on all
    other messages."""


class SmsSent(DeliveryEvent):
    """A provider took the message and will try to deliver it."""

    event: Literal["sms.sent"] = "sms.sent"
    provider: str
    attempt: Epoch
    provider_message_id: str | None = None
    """The provider's own id; absent if it gives none."""
    segments: Count
    """The provider's count if it gives one, else ours."""
    cost: Cost | None = None
    possible_duplicate: bool = False
    """An earlier attempt may have left too: the recipient may read it twice."""
    reason: str
    """Why this provider."""
    duration_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Duration of the provider call, milliseconds."""


class _Reported(DeliveryEvent):
    """What a delivery report says about an attempt."""

    provider: str
    attempt: Epoch
    provider_message_id: str | None = None
    status: str
    """As the provider spelled it."""
    reason: str | None = None
    network_code: str | None = None
    """Code of the recipient's network, passed on without interpretation."""
    matched_by: str
    """`reference`: the report named the provider's or our own id. `recipient`: it named only the
    number, and exactly one unknown attempt went to that number."""


class SmsDelivered(_Reported):
    """The provider reports that the message arrived."""

    event: Literal["sms.delivered"] = "sms.delivered"


class SmsUndelivered(_Reported):
    """The provider took the message and reports that it did not arrive."""

    event: Literal["sms.undelivered"] = "sms.undelivered"


class SmsFailed(DeliveryEvent):
    """Given up after an attempt or after our own errors; no provider has taken it."""

    event: Literal["sms.failed"] = "sms.failed"
    code: str
    """Short, stable, for programs."""
    reason: str
    """For people."""
    provider: str | None = None
    """The last provider asked."""
    attempts: Count


class SmsExpired(DeliveryEvent):
    """The life of the message ended, and it is proved that it was not sent."""

    event: Literal["sms.expired"] = "sms.expired"
    reason: str
    attempts: Count


class SmsRejected(DeliveryEvent):
    """Refused by us before any attempt."""

    event: Literal["sms.rejected"] = "sms.rejected"
    reason: str
    problems: tuple[str, ...] = ()
    """One line each: field, what was expected, what came."""


class SmsUnknown(DeliveryEvent):
    """The message may have left. It waits until a delivery report proves it."""

    event: Literal["sms.unknown"] = "sms.unknown"
    provider: str
    attempt: Epoch
    reason: str
    possible_duplicate: bool = False


class SmsUnreported(DeliveryEvent):
    """No final delivery report came before the deadline."""

    event: Literal["sms.unreported"] = "sms.unreported"
    provider: str
    attempt: Epoch


Event = (
    SmsSent
    | SmsDelivered
    | SmsUndelivered
    | SmsFailed
    | SmsExpired
    | SmsRejected
    | SmsUnknown
    | SmsUnreported
)
"""Every event; the field `event` distinguishes them."""

EVENTS: Final[tuple[type[DeliveryEvent], ...]] = (
    SmsSent,
    SmsDelivered,
    SmsUndelivered,
    SmsFailed,
    SmsExpired,
    SmsRejected,
    SmsUnknown,
    SmsUnreported,
)

_ANY: Final[TypeAdapter[Event]] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def decode_event(body: bytes) -> Event:
    """Read an event, for consumers.

    Raises:
        DecodeError: not an event that this version knows; of the body it carries the message id
            alone.
    """
    data = read_object(body)
    try:
        return _ANY.validate_python(data)
    except ValidationError as error:
        message_id = valid_id(data.get("messageId", data.get("message_id")))
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        refused = problems.refusal(
            (problems.of_model(each, "event") for each in errors), message_id
        )
        reason = f"not a known event: {refused.reason}"
        raise DecodeError(reason, message_id, refused.problems) from None
