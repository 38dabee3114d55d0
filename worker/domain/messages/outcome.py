"""The possible outcomes of one call to a provider: a closed set.

Rules: there are exactly four outcomes, and each caller handles all four in one exhaustive match.
`NotSent` is a proof, never a guess; everything unproved is `Unknown`. `worker.providers` decides
what is proved, from the provider's documented answers and the errors of the transport.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from decimal import Decimal


class Blame(StrEnum):
    """Whose fault a proved "not sent" is. Only provider and account count as failures.

    Recipient and message say nothing about the provider's health, because another provider may take
    the same message.
    """

    PROVIDER = "provider"
    ACCOUNT = "account"
    """Ours with that provider: credentials, balance, configured sender id."""
    RECIPIENT = "recipient"
    """This provider does not serve the number."""
    MESSAGE = "message"
    """This provider does not take the sender id, the text or the length of the message."""


OWN_FAULTS: Final = frozenset({Blame.RECIPIENT, Blame.MESSAGE})
"""Faults of the message or its number."""


NO_CURRENCY: Final = "XXX"
"""The ISO 4217 code for "no currency", used if the given name is no currency."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in an ISO 4217 currency."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message and will try to deliver it."""

    provider_message_id: str | None = None
    """The provider's own id; None: the provider gives none (Kannel)."""
    cost: Money | None = None
    """The cost of the whole message, from the reply; None: not in the reply."""
    parts: int | None = None
    """The provider's count of segments; None: not in the reply."""
    code: str = "accepted"


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal that every provider would repeat, so no other one is called."""

    code: str
    reason: str
    opted_out: bool = False
    """The recipient opted out, so no provider may be called again."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that the provider did not take the message. The next candidate may be called."""

    blame: Blame
    code: str
    reason: str
    slow_down_s: float | None = None
    """The provider asked for a pause of this many seconds (HTTP 429). No breaker failure."""
    account_fault: AccountFault | None = None
    """Set if the fault affects all our messages. The breaker then opens at once."""

    @property
    def is_own_fault(self) -> bool:
        """Whether this provider would refuse it again, for a reason that is not its own fault."""
        return self.blame in OWN_FAULTS


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message may have left. It is not sent again, except for one transactional resend."""

    code: str
    reason: str
    slow_down_s: float | None = None
    """The provider asked for a pause of this many seconds (HTTP 503)."""


Outcome = Accepted | Refused | NotSent | Unknown


class AccountFault(StrEnum):
    """Faults of our account at a provider, as a reply shows them."""

    AUTHENTICATION = "authentication"
    BALANCE = "balance"
    SENDER = "sender"
    """The configured sender id is refused. A sender id in a message is the message's fault."""
    ADDRESS = "address"
    """The configured address does not belong to the provider, or no longer does."""
