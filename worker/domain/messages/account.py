"""How our account at a provider stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.domain.messages.outcome import AccountFault, Money


@dataclass(frozen=True, slots=True)
class AccountHealth:
    """Answer of a provider's account check."""

    ok: bool
    reason: str
    balance: Money | None = None
    fault: AccountFault | None = None
