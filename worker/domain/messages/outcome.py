"""What one call to a provider can mean: a closed set.

Rules: exactly four outcomes; whoever calls a provider settles all four in one exhaustive match.
`NotSent` is a proof, never a guess: what is not proved is `Unknown`. Proof is decided where the
bytes are (`worker.providers`), from the provider's documented answers and the transport's errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from decimal import Decimal


class Blame(StrEnum):
    """Whose fault a proved non-acceptance is. Only provider and account count as failures.

    Recipient and message say nothing about the provider's health: another provider may well take
    the same message.
    """

    PROVIDER = "provider"
    ACCOUNT = "account"
    """Ours with that provider: credentials, balance, configured sender id."""
    RECIPIENT = "recipient"
    """The number, which this provider does not serve."""
    MESSAGE = "message"
    """What the message asks of this provider: its own sender id, a text or length."""


OWN_FAULTS: Final = frozenset({Blame.RECIPIENT, Blame.MESSAGE})
"""Of the message or its number."""


NO_CURRENCY: Final = "XXX"
"""ISO 4217's code for what is in no currency: stands for names that are none."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in an ISO 4217 currency."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message and will try to deliver it."""

    provider_message_id: str | None = None
    """The provider's own id; None where it gives none (Kannel)."""
    cost: Money | None = None
    """What the provider says the whole message cost; None where it does not say."""
    parts: int | None = None
    """Segments by the provider's count; None where it does not say."""
    code: str = "accepted"


@dataclass(frozen=True, slots=True)
class Refused:
    """What no provider could do: no other one is asked."""

    code: str
    reason: str
    opted_out: bool = False
    """The recipient withdrew consent: no provider may be asked again."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that the provider did not take it: the next candidate may."""

    blame: Blame
    code: str
    reason: str
    slow_down_s: float | None = None
    """The provider asked for a pause of that many seconds (HTTP 429): no breaker failure."""
    account_fault: AccountFault | None = None
    """Set when every message of ours would fare the same: the breaker opens at once."""

    @property
    def is_own_fault(self) -> bool:
        """Whether the same would happen again here, and says nothing about the provider."""
        return self.blame in OWN_FAULTS


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have left: never repeated, never re-routed, but for one transactional resend."""

    code: str
    reason: str
    slow_down_s: float | None = None
    """The provider asked for a pause of that many seconds (HTTP 503)."""


Outcome = Accepted | Refused | NotSent | Unknown


class AccountFault(StrEnum):
    """Faults of our own account with a provider, seen on a reply."""

    AUTHENTICATION = "authentication"
    BALANCE = "balance"
    SENDER = "sender"
    """The configured sender id is refused (one given in a message is that message's trouble)."""
    ADDRESS = "address"
    """The configured address is not the provider's (any more)."""
