"""The delivery reports of the providers: early, late, twice, or never.

Rules: what comes of an SMS is drawn from the seed and its reference alone. The target names its own
message id, legacy names ours. While the broker is down the webhook answers 503, and the provider
calls again.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from tests.torture.judge.facts import Report
from tests.torture.simulation.parties import TARGET

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.judge.facts import Call
    from tests.torture.simulation.outside import Outside
    from worker.domain.messages.sms import Sms

AGAIN_S: Final = 1.0
_STATES: Final = ("delivered", "delivered", "undelivered", "")
"""What is reported of an SMS; empty: nothing ever is."""
_FIRST_S: Final = (0.0, 0.01, 1.0, 20.0)
_SUBMITTED_S: Final = (0.0, 2.0, 25.0)
_SUBMITTED: Final = 0.3
"""Share of the SMS that are also reported as on their way, before or after their end."""


class Callbacks:
    """Has providers call back.

    Args:
        seed: of the history.
        outside: publishes what the webhook gets.
        reachable: whether the webhook can publish now.
    """

    def __init__(self, seed: str, outside: Outside, reachable: Callable[[], bool]) -> None:
        self.due = 0
        """Callbacks that are still to come."""
        self._seed = seed
        self._outside = outside
        self._reachable = reachable
        self._loop = asyncio.get_running_loop()

    def about(self, sms: Sms, call: Call) -> None:
        """Report on an SMS that a provider took."""
        rng = random.Random(f"{self._seed} report {call.reference}")
        state = rng.choice(_STATES)
        if not state:
            return
        fields = {"state": state, "to": call.to, **_reference(sms, call)}
        first = rng.choice(_FIRST_S)
        if rng.random() < _SUBMITTED:
            self._later(call, {**fields, "state": "submitted"}, rng.choice(_SUBMITTED_S))
        for _ in range(rng.choice((1, 1, 1, 2))):
            self._later(call, fields, first + rng.random())

    def _later(self, call: Call, fields: dict[str, str], after_s: float) -> None:
        self.due += 1
        self._loop.call_later(after_s, self._come, call, fields)

    def _come(self, call: Call, fields: dict[str, str]) -> None:
        if not self._reachable():
            self._loop.call_later(AGAIN_S, self._come, call, fields)
            return
        self.due -= 1
        if fields["state"] != "submitted":
            self._outside.reported(_report(call, fields))
        self._outside.call_back(call.provider, "delivery", fields)


def _reference(sms: Sms, call: Call) -> dict[str, str]:
    """How a provider names the SMS in its report."""
    if call.provider == TARGET:
        return {"id": str(call.reference)}
    return {"our-id": sms.message_id, "epoch": str(sms.epoch)}


def _report(call: Call, fields: dict[str, str]) -> Report:
    return Report(
        provider=call.provider,
        reference=str(call.reference),
        message_id=call.message_id,
        delivered=fields["state"] == "delivered",
        names_ours=call.provider != TARGET,
    )
