"""Checks the broker's product and version, which it names when a connection opens.

Rules: it must be RabbitMQ 3.10 or later. Earlier versions have no time to live in quorum queues, so
a copy in a retry tier would never come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.settings.versions import UnfitServerError, require

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "AMQP_URL"
PRODUCT: Final = "RabbitMQ"
OLDEST: Final = (3, 10)


def check(properties: Mapping[str, object]) -> None:
    """Raise `UnfitServerError` unless the broker is RabbitMQ and new enough.

    Args:
        properties: `server_properties` of an open connection.
    """
    product = _text(properties.get("product"))
    if product != PRODUCT:
        oldest = f"{PRODUCT} {OLDEST[0]}.{OLDEST[1]} or later"
        raise UnfitServerError(VARIABLE, oldest, f"product {product!r}")
    require(VARIABLE, PRODUCT, OLDEST, _text(properties.get("version")))


def _text(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
