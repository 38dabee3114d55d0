"""The state of our account at a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.domain.messages.outcome import AccountFault, Money


@dataclass(frozen=True, slots=True)
class AccountHealth:
    """The answer to an account check."""

    ok: bool
    reason: str
    balance: Money | None = None
    fault: AccountFault | None = None
