"""Lists which message travels where; schemas and AsyncAPI document are made from this list.

Rules: every message on the broker that others may read or write stands here once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.commands import SEND_TYPE, SendSms
from contracts.control import COMMANDS, QUERIES, ControlReply, StateAnnouncement
from contracts.events import EVENTS
from contracts.metrics import METRICS
from contracts.names import Exchange, Key
from contracts.reports import RawReport

if TYPE_CHECKING:
    from contracts.model import Wire


@dataclass(frozen=True, slots=True)
class Published:
    """A kind of message and its route."""

    model: type[Wire]
    exchange: Exchange
    keys: tuple[str, ...]
    """Routing keys; a name in braces stands for one word."""
    type: str
    """AMQP `type`."""
    inbound: bool = False
    """Whether the worker reads it (others write it)."""
    persistent: bool = True

    @property
    def name(self) -> str:
        """Name of the message, its schema and its file."""
        return self.model.__name__

    @property
    def summary(self) -> str:
        """First line of the model's docstring."""
        return (self.model.__doc__ or "").splitlines()[0]


_SEND_KEYS: Final = (Key.SEND, Key.SEND_TRANSACTIONAL, Key.SEND_BULK)


def _named(model: type[Wire]) -> str:
    """Routing key of an event: the default of its `event` field."""
    return str(model.model_fields["event"].default)


def _asked(kind: str, model: type[Wire]) -> Published:
    """Describe a command or query: key and AMQP type come from its `name`."""
    name = str(model.model_fields["name"].default)
    key = f"control.{kind}.{name}"
    return Published(model, Exchange.CONTROL, (key,), f"{name}.v1", inbound=True)


MESSAGES: Final = (
    Published(SendSms, Exchange.COMMANDS, _SEND_KEYS, SEND_TYPE, inbound=True),
    Published(RawReport, Exchange.REPORTS, ("report.{provider}",), "RawReport.v1", inbound=True),
    *(Published(event, Exchange.EVENTS, (_named(event),), _named(event)) for event in EVENTS),
    *(
        Published(metric, Exchange.METRICS, (_named(metric),), _named(metric), persistent=False)
        for metric in METRICS
    ),
    *(_asked("command", command) for command in COMMANDS),
    *(_asked("query", query) for query in QUERIES),
    Published(ControlReply, Exchange.REPLIES, ("reply.{user}.{id}",), "ControlReply.v1"),
    Published(StateAnnouncement, Exchange.STATE, (Key.STATE,), Key.STATE, persistent=False),
)
