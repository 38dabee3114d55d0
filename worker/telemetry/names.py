"""Names of spans, metrics and attributes, by the semantic conventions of OpenTelemetry.

The conventions for messaging are still in development and their names have changed before. Calls of
the webhook use the stable HTTP conventions. A name is only changed here.
"""

from __future__ import annotations

from typing import Final

SYSTEM: Final = "messaging.system"
SYSTEM_RABBITMQ: Final = "rabbitmq"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
OPERATION_PROCESS: Final = "process"
OPERATION_SEND: Final = "send"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"

METHOD: Final = "http.request.method"
ROUTE: Final = "http.route"
STATUS: Final = "http.response.status_code"
SCHEME: Final = "url.scheme"

SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE: Final = "service.instance.id"
ERROR_TYPE: Final = "error.type"

PROVIDER: Final = "sms.provider"
EPOCH: Final = "sms.attempt.epoch"
OUTCOME: Final = "sms.attempt.outcome"
