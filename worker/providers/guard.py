"""The breaker and limits of one provider. All its calls pass here.

Rules:
- A permit is held from before the intent until after the outcome. `admit` asks the breaker without
  waiting, so that nothing happens between the decision and the intent.
- No message waits long for a slow provider. A provider is busy if the expected wait is longer than
  `PATIENCE_S`, by the age of the calls under way, the rate and the pause it asked for. A caller
  that waits anyway gives up after `GIVE_UP_S`.
- A permit is also held while its intent and outcome are written. A slow store is not the provider's
  fault: it does not make the provider busy, and callers that wait because of it keep waiting.
- The outcome is always returned, whatever the breaker does.
- Refused calls and faults of recipients and messages say nothing about the provider. The same holds
  for failures of a message that another provider refused by such a fault, because providers have
  different names for one thing. A request to slow down pauses the limiter.
- Faults of the account open the breaker at once and are reported. A refused credential or a wrong
  address must first be confirmed by the account call, which runs in its own task. The fault lasts
  until the breaker closes.
- Refusals that only this provider makes are counted (`refusals`) and reported to people.
- If an adapter raises, the outcome is `Unknown`, because the call may have begun.
- A cancelled call gives its probe back and does not count for the breaker.
"""

from __future__ import annotations

import asyncio
import traceback
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from worker.domain.messages.outcome import (
    Accepted,
    AccountFault,
    Blame,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.ports.providers import BreakerState
from worker.providers.breaker import Breaker, Call, Mark
from worker.providers.limiter import Limiter
from worker.providers.refusals import RefusalWatch
from worker.service import cancel_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.domain.messages.message import Lane
    from worker.domain.messages.sms import Sms
    from worker.ports.clock import Clock
    from worker.ports.providers import Provider
    from worker.providers.breaker import OnChange
    from worker.providers.refusals import OnRefusals
    from worker.settings.providers import ProviderSettings

    OnFault = Callable[[str, str | None], None]
    """`on_fault(provider_id, fault)`; synchronous, must not block."""

_TO_CONFIRM: Final = frozenset({AccountFault.AUTHENTICATION, AccountFault.ADDRESS})
"""Faults that one answer alone does not prove."""
PATIENCE_S: Final = 1.0
"""Expected wait above which a provider counts as busy."""
GIVE_UP_S: Final = 2.0
"""Longest wait for a permit."""
ASK_AGAIN_S: Final = 5.0
"""A provider that is busy for longer is tried again after this time."""
_log = structlog.get_logger(__name__)


def mark_of(outcome: Outcome, *, refused: bool = False) -> Mark:
    """The meaning of an outcome for the provider's health; for `refused` see `Permit.send`."""
    match outcome:
        case Accepted():
            return Mark.SUCCESS
        case Refused() | NotSent(blame=Blame.RECIPIENT | Blame.MESSAGE):
            return Mark.IGNORED
        case NotSent(slow_down_s=float() | int()):
            return Mark.IGNORED
        case NotSent(blame=Blame.ACCOUNT):
            return Mark.FAILURE
        case NotSent() | Unknown():
            return Mark.IGNORED if refused else Mark.FAILURE


class ProviderGuard:
    """The `Guard` of one provider.

    Args:
        provider: the provider.
        settings: limits and breaker of the account.
        clock: monotonic time.
        on_change: called at every change of the breaker's state.
        on_fault: called with a fault of the account, and with None when it is over.
        on_refusals: called if many refusals are made by this provider only.
        in_hand: see `Limiter`.
    """

    def __init__(
        self,
        provider: Provider,
        settings: ProviderSettings,
        clock: Clock,
        on_change: OnChange,
        on_fault: OnFault,
        *,
        on_refusals: OnRefusals = lambda _provider_id, _code, _what: None,
        in_hand: Mapping[Lane, int] | None = None,
    ) -> None:
        self.provider = provider
        self.breaker = Breaker(provider.id, settings.breaker, clock, self._changed)
        self.fault = ""
        """See `Guard.fault`."""
        self._on_change = on_change
        self._on_fault = [on_fault]
        self._refusals = RefusalWatch(provider.id, clock, on_refusals)
        self.limiter = Limiter(settings.max_in_flight, settings.rate_per_s, clock, in_hand)
        self.calls: dict[ProviderPermit, float] = {}
        """The calls under way with the time each began, the oldest first."""
        self.clock = clock
        self._confirming: asyncio.Task[None] | None = None

    @property
    def provider_id(self) -> str:
        """The id of the provider."""
        return self.provider.id

    @property
    def state(self) -> BreakerState:
        """The state of the breaker."""
        return self.breaker.state

    def passable(self) -> bool:
        """Whether a call would be let through now."""
        return self.breaker.passable()

    def probe_due_in(self) -> float:
        """Seconds until `passable` can become true; 0 if it is true."""
        return self.breaker.probe_due_in()

    def busy_for(self, lane: Lane) -> float:
        """See `Guard.busy_for`."""
        wait = self.limiter.wait_s(lane, self._call_s)
        return min(wait, ASK_AGAIN_S) if wait > PATIENCE_S else 0.0

    def permit_now(self, lane: Lane) -> ProviderPermit | None:
        """See `Guard.permit_now`."""
        return ProviderPermit(self, lane) if self.limiter.take(lane) else None

    async def permit(self, lane: Lane) -> ProviderPermit | None:
        """See `Guard.permit`."""
        while True:
            try:
                await self.limiter.acquire(lane, GIVE_UP_S)
            except TimeoutError:
                if not self._held_by_store():
                    return None
            else:
                return ProviderPermit(self, lane)

    def _held_by_store(self) -> bool:
        """Whether most permits are held by calls that wait for the store, not for the provider."""
        return 2 * len(self.calls) < self.limiter.taken

    def _call_s(self) -> float:
        """The estimated duration of a call: twice the median age of the calls under way.

        It is known even if no call returns, as with a provider that hangs.
        """
        middle = next(islice(self.calls.values(), len(self.calls) // 2, None), None)
        return 0.0 if middle is None else 2 * (self.clock.monotonic() - middle)

    def share_between(self, replicas: int) -> None:
        """Use `1 / replicas` of the account's limits."""
        self.limiter.share_between(replicas)

    def reset(self, reason: str) -> None:
        """Close the breaker, by an administrator's decision."""
        self.breaker.reset(reason)

    def on_fault(self, call: OnFault) -> None:
        """Also call `call` with every fault."""
        self._on_fault.append(call)

    async def close(self) -> None:
        """Stop background tasks. Idempotent. The owner of the provider closes it."""
        task, self._confirming = self._confirming, None
        if task is not None:
            await cancel_all([task])

    def learn(self, call: Call, outcome: Outcome, duration_s: float, *, refused: bool) -> None:
        """Pass the result of a call to breaker and limiter."""
        self._refusals.note(outcome)
        if isinstance(outcome, NotSent | Unknown) and outcome.slow_down_s is not None:
            self.limiter.slow_down(outcome.slow_down_s)
        if isinstance(outcome, NotSent):
            self._learn_fault(call, outcome)
        reason = getattr(outcome, "reason", "")
        self.breaker.finish(call, mark_of(outcome, refused=refused), duration_s, reason)

    def _learn_fault(self, call: Call, outcome: NotSent) -> None:
        if outcome.account_fault in _TO_CONFIRM:
            self._confirm(call)
        elif outcome.account_fault is not None:
            self._faulty(call, f"{outcome.account_fault}: {outcome.reason}")

    def _faulty(self, call: Call, fault: str) -> None:
        """Handle a fault that affects every message: open the breaker and report it."""
        self.breaker.trip(call, fault)
        if self.breaker.state is not BreakerState.CLOSED and not self.fault:
            self._set_fault(fault)

    def _set_fault(self, fault: str) -> None:
        self.fault = fault
        for call in self._on_fault:
            call(self.provider_id, fault or None)

    def _changed(self, provider_id: str, old: BreakerState, new: BreakerState, reason: str) -> None:
        if new is BreakerState.CLOSED and self.fault:
            self._set_fault("")
        self._on_change(provider_id, old, new, reason)

    def _confirm(self, call: Call) -> None:
        """Make one account call, however many calls were refused meanwhile."""
        if self._confirming is None or self._confirming.done():
            work = self._trip_if_confirmed(call)
            self._confirming = asyncio.get_running_loop().create_task(
                work, name=f"confirm {self.provider_id}"
            )

    async def _trip_if_confirmed(self, call: Call) -> None:
        health = await self.provider.check()
        if health.fault in _TO_CONFIRM:
            self._faulty(call, f"{health.fault}: {health.reason}")


def _whereabouts(error: Exception) -> dict[str, str]:
    """The loggable parts of an error: its class and the place where it was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return {"error": type(error).__name__, "where": f"{frame.name}:{frame.lineno}"}


class ProviderPermit:
    """A permit of the limiter, and after `admit` a call admitted by the breaker."""

    __slots__ = ("_call", "_guard", "_held", "_lane", "_used")

    def __init__(self, guard: ProviderGuard, lane: Lane) -> None:
        self._guard = guard
        self._lane = lane
        self._call: Call | None = None
        self._held = True
        self._used = False

    def admit(self) -> bool:
        """Ask the breaker. In half-open this takes the one probe."""
        if self._call is None and self._held:
            self._call = self._guard.breaker.admit()
        return self._call is not None

    async def send(self, sms: Sms, *, refused: bool = False) -> tuple[Outcome, float]:
        """Call the provider once.

        Args:
            sms: what is sent.
            refused: see `Permit.send`.

        Returns:
            The outcome, and the duration of the call in milliseconds.

        Raises:
            RuntimeError: it is not admitted, is released already, or was used before.
        """
        if self._call is None or not self._held or self._used:
            raise RuntimeError("send: expected one call on an admitted permit that is still held")
        self._used = True
        guard, began = self._guard, self._guard.clock.monotonic()
        guard.calls[self] = began
        try:
            outcome = await guard.provider.send(sms)
        except Exception as error:  # noqa: BLE001 - see the rules above
            # The text of the error may hold a number or a secret, so it is not used.
            _log.error("adapter raised", provider=guard.provider_id, **_whereabouts(error))
            outcome = Unknown("adapter_error", type(error).__name__)
        finally:
            del guard.calls[self]
        duration_s = guard.clock.monotonic() - began
        guard.learn(self._call, outcome, duration_s, refused=refused)
        return outcome, duration_s * 1000

    def release(self) -> None:
        """Give back the permit and an unused probe. Idempotent."""
        if not self._held:
            return
        self._held = False
        if self._call is not None:
            self._guard.breaker.give_back(self._call)
        self._guard.limiter.release(self._lane, unused=not self._used)
