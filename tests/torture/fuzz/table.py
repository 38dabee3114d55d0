"""The table of all fuzz targets. Shares are thousandths of all inputs; cheap targets get most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.torture.fuzz.targets import (
    africastalking,
    callbacks,
    delivery,
    flags,
    gateways,
    handlers,
    headers,
    presets,
    reports,
    requests,
    send_sms,
    steering,
    transport,
    webhook,
    wire,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.torture.fuzz.target import Target

_ALL: Final = (
    send_sms.TARGET,
    wire.CONTROL,
    wire.REPORT,
    wire.EVENT,
    wire.METRIC,
    headers.TARGET,
    delivery.TARGET,
    callbacks.TARGET,
    webhook.TARGET,
    africastalking.TARGET,
    gateways.JSON_BASIC,
    gateways.KANNEL,
    transport.TARGET,
    requests.TARGET,
    presets.TARGET,
    flags.TARGET,
    steering.TARGET,
    handlers.TARGET,
    reports.TARGET,
)
TARGETS: Final[Mapping[str, Target]] = {target.name: target for target in _ALL}
