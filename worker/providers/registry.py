"""Lists the adapters by kind of provider. Only this place knows them all.

A new provider needs one file with an adapter (or none, if a preset describes it) and one entry
here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.providers.africastalking import AfricasTalking
from worker.providers.guard import ProviderGuard
from worker.providers.http_gateway import HttpGateway
from worker.providers.transport import check_request
from worker.settings.providers import ProviderKind
from worker.settings.types import without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from worker.domain.messages.message import Lane
    from worker.ports.clock import Clock
    from worker.ports.providers import Provider
    from worker.providers.breaker import OnChange
    from worker.providers.guard import OnFault
    from worker.providers.refusals import OnRefusals
    from worker.settings.providers import ProviderSettings

ADAPTERS: Final[Mapping[ProviderKind, Callable[[ProviderSettings], Provider]]] = {
    ProviderKind.AFRICASTALKING: AfricasTalking,
    ProviderKind.HTTP: HttpGateway,
}


def build(settings: ProviderSettings) -> Provider:
    """Build the adapter of one configured account.

    Raises:
        ValueError: the settings do not fit; all problems are named.
    """
    without(list(_unusable(settings)))
    return ADAPTERS[settings.kind](settings)


def _unusable(settings: ProviderSettings) -> Iterator[str]:
    """Problems of addresses that look valid, but that the HTTP libraries refuse."""
    addresses = {"base_url": settings.base_url, "report_base_url": settings.report_base_url}
    for name, address in addresses.items():
        try:
            if address:
                check_request("GET", address)
        except ValueError:
            yield f"{name}: expected a host that the HTTP libraries take"


def guard(
    provider: Provider,
    settings: ProviderSettings,
    clock: Clock,
    on_change: OnChange,
    on_fault: OnFault,
    *,
    on_refusals: OnRefusals,
    in_hand: Mapping[Lane, int],
) -> ProviderGuard:
    """Build the guard of a provider."""
    return ProviderGuard(
        provider,
        settings,
        clock,
        on_change,
        on_fault,
        on_refusals=on_refusals,
        in_hand=in_hand,
    )
