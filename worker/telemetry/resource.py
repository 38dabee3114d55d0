"""How a process is called in metrics and traces."""

from __future__ import annotations

from typing import Final

from opentelemetry.sdk.resources import Resource

from worker.telemetry import names

WORKER: Final = "sms-worker"
WEBHOOK: Final = "sms-webhook"
"""What the services are called if the environment does not name them."""


def resource(replica: str, service: str) -> Resource:
    """This process, as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` name it, and its id."""
    made = Resource.create({names.SERVICE_INSTANCE: replica})
    if str(made.attributes[names.SERVICE_NAME]).startswith("unknown_service"):
        made = made.merge(Resource({names.SERVICE_NAME: service}))
    return made
