"""Checks that provider accounts are reachable, accept our login, and have enough balance.

Rules: it uses the provider's account call and never sends a message. It reports changes only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from worker.domain.alerts.alert_codes import AlertCode
from worker.service import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.domain.messages.account import AccountHealth
    from worker.ports.alerts import Alerts
    from worker.ports.providers import Provider
from worker.service import Background


class AccountWatch(Loop):
    """Checks each account at an interval.

    Args:
        providers: adapters.
        low_balance: by provider id, the balance below which an alert is raised.
        alerts: raises and resolves alerts.
        interval_s: returns the seconds until the next check.
        background: runs the loop.
    """

    def __init__(
        self,
        *,
        providers: tuple[Provider, ...],
        low_balance: Mapping[str, float],
        alerts: Alerts,
        interval_s: Callable[[], float],
        background: Background,
    ) -> None:
        super().__init__(background, "accounts")
        self._providers = providers
        self._low_balance = low_balance
        self._alerts = alerts
        self._interval_s = interval_s

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            for provider in self._providers:
                self._judge(provider.id, await provider.check())
            await asyncio.sleep(self._interval_s())

    def _judge(self, provider: str, health: AccountHealth) -> None:
        if health.ok:
            self._alerts.resolve(
                AlertCode.ACCOUNT, "the account call succeeds again", provider=provider
            )
        else:
            self._alerts.raise_alert(AlertCode.ACCOUNT, health.reason, provider=provider)
        floor = self._low_balance.get(provider)
        if floor is None or health.balance is None:
            return
        balance = f"{health.balance.amount} {health.balance.currency}"
        if health.balance.amount < floor:
            reason = f"balance {balance} is below {floor:g}: top the account up"
            self._alerts.raise_alert(AlertCode.LOW_BALANCE, reason, provider=provider)
        else:
            self._alerts.resolve(AlertCode.LOW_BALANCE, f"balance is {balance}", provider=provider)
