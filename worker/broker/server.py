"""What the broker must be, by what it says of itself when a connection opens.

Rules: RabbitMQ 3.10 or later: earlier ones have no time to live in quorum queues, so what waits in
a retry tier would never come back.
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
    """Raise `UnfitServerError` unless the broker is one to rely on.

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
