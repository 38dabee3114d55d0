"""Which adapter speaks for which kind of provider: the one place that knows them all.

A new provider is one file with an adapter (or none, if a preset of the gateway describes it) and
one entry here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.providers.africastalking import AfricasTalking
from worker.providers.guard import ProviderGuard
from worker.providers.http_gateway import HttpGateway
from worker.settings import ProviderKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.ports import Clock, Provider
    from worker.providers.breaker import OnChange
    from worker.providers.guard import OnFault
    from worker.settings import ProviderSettings

ADAPTERS: Final[Mapping[ProviderKind, Callable[[ProviderSettings], Provider]]] = {
    ProviderKind.AFRICASTALKING: AfricasTalking,
    ProviderKind.HTTP: HttpGateway,
}


def build(settings: ProviderSettings) -> Provider:
    """The adapter of one configured account.

    Raises:
        ValueError: the settings do not describe it; every problem is named.
    """
    return ADAPTERS[settings.kind](settings)


def guard(
    provider: Provider,
    settings: ProviderSettings,
    clock: Clock,
    on_change: OnChange,
    on_fault: OnFault,
) -> ProviderGuard:
    """The breaker and limits in front of a provider."""
    return ProviderGuard(provider, settings, clock, on_change, on_fault)
