"""Builds the provider accounts: an adapter for each, with its guard in front."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.migration.phases import Role
from worker.providers import registry
from worker.telemetry.traced_provider import TracedProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.app.runtime import Runtime
    from worker.ports.providers import Provider
    from worker.providers.guard import ProviderGuard
    from worker.settings.providers import ProviderSettings


@dataclass(frozen=True, slots=True)
class Accounts:
    """The settings, the adapter and the guard of each provider, by role."""

    settings: Mapping[Role, ProviderSettings]
    providers: Mapping[Role, Provider]
    guards: Mapping[Role, ProviderGuard]

    def reporting(self) -> frozenset[str]:
        """Ids of the providers that give delivery reports."""
        return frozenset(p.id for p in self.providers.values() if p.gives_reports)

    async def close(self) -> None:
        """End the account checks and close the connections."""
        for guard in self.guards.values():
            await guard.close()
        for provider in self.providers.values():
            await provider.close()


def accounts_of(runtime: Runtime) -> Accounts:
    """Build both providers, each behind its guard."""
    settings = {Role.TARGET: runtime.cfg.target, Role.LEGACY: runtime.cfg.legacy}
    providers = {role: _provider(runtime, account) for role, account in settings.items()}
    alerts = runtime.alerts
    guards = {
        role: registry.guard(
            providers[role],
            account,
            runtime.clock,
            alerts.breaker_changed,
            alerts.account_fault,
            on_refusals=alerts.refusals,
            in_hand=runtime.cfg.prefetch,
        )
        for role, account in settings.items()
    }
    return Accounts(settings, providers, guards)


def _provider(runtime: Runtime, account: ProviderSettings) -> Provider:
    provider = runtime.edges.provider(account)
    return TracedProvider(provider, runtime.tracing) if runtime.tracing.records else provider


def fingerprint(account: ProviderSettings) -> str:
    """Return a hash that identifies a provider's account and reveals nothing about it.

    When the id, user or address changes, counts of the old account are no longer evidence.
    """
    fields = (account.id, account.kind, account.preset, account.base_url, account.username)
    return hashlib.sha256("\n".join(map(str, fields)).encode()).hexdigest()[:16]
