"""The answer of the target's account call, one for all who only look.

Rules: a command asks anew. Who only looks gets the newest answer, up to `KEPT_S` old, and waits for
a new one a short time at most: many may look every second, a provider in trouble answers late, and
a status that waits for it delays all others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from worker.domain.messages.account import AccountHealth

if TYPE_CHECKING:
    from worker.ports.clock import Clock
    from worker.ports.providers import Provider

CHECK_WITHIN_S: Final = 5.0
KEPT_S: Final = 10.0
_NONE_YET: Final = AccountHealth(ok=False, reason="asked, no answer yet")


class AccountAnswer:
    """Asks the account of one provider.

    Args:
        provider: whose account.
        clock: says how old an answer is.
    """

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._newest: tuple[AccountHealth, float] | None = None
        self._asking: asyncio.Task[AccountHealth] | None = None

    async def now(self) -> AccountHealth:
        """Ask, for `CHECK_WITHIN_S` at most."""
        try:
            async with asyncio.timeout(CHECK_WITHIN_S):
                health = await self._provider.check()
        except TimeoutError:
            health = AccountHealth(ok=False, reason=f"no answer within {CHECK_WITHIN_S:g} s")
        self._newest = health, self._clock.monotonic()
        return health

    async def lately(self, within_s: float) -> AccountHealth:
        """The newest answer, or a new one if it comes within that time.

        A call that takes longer goes on; its answer is for who looks next.
        """
        if self._newest is not None:
            health, at = self._newest
            if self._clock.monotonic() - at <= KEPT_S:
                return health
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self.now(), name="account call")
        done, _ = await asyncio.wait({self._asking}, timeout=within_s)
        return self._asking.result() if done else _NONE_YET
