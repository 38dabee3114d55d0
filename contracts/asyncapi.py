"""Builds the AsyncAPI 3.0.0 document from the catalogue.

Rules: the document takes the worker's point of view: the worker receives commands and reports and
sends the rest. A channel is one exchange with one routing key; its AMQP binding (0.3.0) declares
the exchange. The worker's queues are channels too, because topology is part of the contract. No
message is described twice: payloads refer to the schema files beside the document.
"""

from __future__ import annotations

import re
from typing import Any, Final

from contracts.catalogue import MESSAGES, Published
from contracts.control import COMMANDS, QUERIES
from contracts.names import COMMAND_BINDINGS, MAX_BODY_BYTES, Queue

_BINDING: Final = "0.3.0"
_DIALECT: Final = "application/schema+json;version=draft-2020-12"

_QUEUES: Final = {
    Queue.TRANSACTIONAL: "Lane of urgent messages.",
    Queue.BULK: "Lane of campaigns.",
    Queue.REPORTS: "Delivery reports as the providers sent them.",
    Queue.CONTROL_COMMAND: "Commands of administrators; every replica competes for them.",
    Queue.CONTROL_QUERY: "Queries of administrators and observers, apart from the commands.",
    Queue.DEAD: "Messages that nobody will process any more, unchanged; `sms-reason` says why.",
}
_READ_BY_QUEUE: Final = {
    "SendSms": (Queue.TRANSACTIONAL, Queue.BULK),
    "RawReport": (Queue.REPORTS,),
    **{command.__name__: (Queue.CONTROL_COMMAND,) for command in COMMANDS},
    **{query.__name__: (Queue.CONTROL_QUERY,) for query in QUERIES},
}
_PARAMETERS: Final = {
    "provider": "Configured provider id.",
    "user": "Login of the asker, as the broker vouches for it.",
    "id": "The asker's correlation id, else the command id.",
}
_MAY_DIE: Final = ("SendSms", "RawReport")
"""Messages that `sms.dead` can hold."""


def document() -> dict[str, Any]:
    """Build the whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "SMS migration worker",
            "version": "1.0.0",
            "description": (
                "JSON in UTF-8, camelCase, bodies of up to "
                f"{MAX_BODY_BYTES} bytes. Readers ignore unknown fields. AMQP properties: "
                "`message_id`, `type`, `content_type`, `correlation_id`, `timestamp`, and the "
                "header `traceparent`."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": {each.name: _message(each) for each in MESSAGES}},
    }


def _channels() -> dict[str, Any]:
    by_key = {
        _channel_id(key): _exchange_channel(each, key) for each in MESSAGES for key in each.keys
    }
    return by_key | {_queue_id(queue): _queue_channel(queue) for queue in _QUEUES}


def _exchange_channel(message: Published, key: str) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": str(key),
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"}},
    }
    names = re.findall(r"\{(\w+)\}", key)
    if names:
        channel["parameters"] = {name: {"description": _PARAMETERS[name]} for name in names}
    exchange = {
        "name": str(message.exchange),
        "type": "topic",
        "durable": True,
        "autoDelete": False,
        "vhost": "/",
    }
    binding = {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDING}
    return channel | {"bindings": {"amqp": binding}}


def _queue_channel(queue: Queue) -> dict[str, Any]:
    carried = [name for name, queues in _READ_BY_QUEUE.items() if queue in queues]
    messages = carried or _MAY_DIE
    settings = {
        "name": str(queue),
        "durable": True,
        "exclusive": False,
        "autoDelete": False,
        "vhost": "/",
    }
    keys = ", ".join(COMMAND_BINDINGS.get(queue, ()))
    return {
        "address": str(queue),
        "description": _QUEUES[queue] + (f" Takes the keys {keys}." if keys else ""),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"amqp": {"is": "queue", "queue": settings, "bindingVersion": _BINDING}},
    }


def _operations() -> dict[str, Any]:
    operations: dict[str, Any] = {
        f"receive{_pascal(queue)}": _receive(queue)
        for queue in dict.fromkeys(queue for queues in _READ_BY_QUEUE.values() for queue in queues)
    }
    for message in MESSAGES:
        if message.inbound:
            continue
        for key in message.keys:
            operations[f"send{_pascal(key)}"] = _send(message, key)
    return operations


def _receive(queue: Queue) -> dict[str, Any]:
    channel = _queue_id(queue)
    read = [each for each in MESSAGES if queue in _READ_BY_QUEUE.get(each.name, ())]
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": read[0].summary if len(read) == 1 else _QUEUES[queue],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{each.name}"} for each in read],
        "bindings": {"amqp": {"ack": True, "bindingVersion": _BINDING}},
    }


def _send(message: Published, key: str) -> dict[str, Any]:
    channel = _channel_id(key)
    binding = {
        "deliveryMode": 2 if message.persistent else 1,
        "mandatory": False,
        "timestamp": True,
        "bindingVersion": _BINDING,
    }
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": message.summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message.name}"}],
        "bindings": {"amqp": binding},
    }


def _message(message: Published) -> dict[str, Any]:
    return {
        "name": message.name,
        "title": message.name,
        "summary": message.summary,
        "contentType": "application/json",
        "payload": {"schemaFormat": _DIALECT, "schema": {"$ref": f"./{message.name}.json"}},
        "bindings": {"amqp": {"messageType": str(message.type), "bindingVersion": _BINDING}},
    }


def _channel_id(key: str) -> str:
    return "key" + _pascal(key)


def _queue_id(queue: Queue) -> str:
    return "queue" + _pascal(queue)


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in re.findall(r"\w+", name))
