"""Who wants no messages, and of whom: the rules of opting out and of the way back, pure.

Rules:
- A wish is about one sender id where whoever told it names one, else about every sender. Sender ids
  are compared by what people read: without regard to case, width, invisible marks and repeated
  blanks. One that is a phone number is that number however it is written; a short code is none.
- The newest wish about a sender counts, by the time it was told: what arrives late or twice changes
  nothing. A wish to get everything again lifts every older one. None was told later than it was
  written; one that a clock ahead of now dated counts as the oldest.
- A message goes under its own sender id. One without goes under the configured one of whichever
  provider sends it, so an opt-out from either stops it at both: nobody is reached round an opt-out.
  Where a provider has none configured we do not know the sender, and any opt-out stops it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from worker.domain.messages.message import Recipient

EVERY_SENDER: Final = ""
UNKNOWN_SENDER: Final[frozenset[str]] = frozenset()
CLOCKS_DIFFER: Final = timedelta(seconds=5)
"""How far the clocks of our own machines may be apart."""
UNDATED: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When a wish was told whose time nobody knows."""


_SHORT: Final = 6
"""Digits of the longest short code."""
_NUMBER: Final = re.compile(r"(?:tel:)?[+(]*[0-9][0-9 ()./\u2010-\u2015\u2212-]*")


@dataclass(frozen=True, slots=True)
class Home:
    """How phone numbers of one country are written."""

    code: str
    """Of the country."""
    trunk: str
    """What is dialled before a national number; empty: nothing."""
    lengths: frozenset[int]
    """Digits of a national number."""

    def number(self, text: str) -> str | None:
        """A phone number as `+` and digits, a short code as digits; None: it is neither."""
        if not _NUMBER.fullmatch(text):
            return None
        digits = "".join(filter(str.isdigit, text))
        if len(digits) <= _SHORT:
            return digits if text in (digits, f"+{digits}") else None
        if "+" in text or digits.startswith("00"):
            abroad = digits.removeprefix("00")
            return f"+{self._at_home(abroad) or abroad}"
        found = self._at_home(digits) or self._national(digits)
        if found is None and digits.startswith("0"):
            return digits
        return f"+{found or digits}"

    def _at_home(self, digits: str) -> str | None:
        """The number behind the country's own code; None: it is of another, or has none."""
        begins = digits.startswith(self.code)
        return self._national(digits.removeprefix(self.code)) if begins else None

    def _national(self, digits: str) -> str | None:
        """Digits of a national number behind the country's code, without the trunk prefix."""
        for rest in (digits.removeprefix(self.trunk), digits):
            if len(rest) in self.lengths:
                return self.code + rest
        return None


ZAMBIA: Final = Home("260", "0", frozenset({9}))


def sender(sender_id: str | None, home: Home = ZAMBIA) -> str:
    """A sender id as wishes name it; None or nothing but blanks: every sender."""
    text = unicodedata.normalize("NFKC", sender_id or EVERY_SENDER).casefold()
    seen = (char for char in text if unicodedata.category(char) != "Cf")
    ascii_digits = "".join(str(unicodedata.decimal(char, char)) for char in seen)
    plain = " ".join(unicodedata.normalize("NFKC", ascii_digits).split())
    return home.number(plain) or plain


@dataclass(frozen=True, slots=True)
class Wish:
    """What a recipient wants of one sender, as last told."""

    sender: str
    """As `sender` makes it; `EVERY_SENDER`: about all."""
    stopped: bool
    """True: no messages any more."""
    at: datetime
    """When it was told."""
    source: str
    """Who told it, for people."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A recipient with wishes on record."""

    recipient: Recipient
    wishes: tuple[Wish, ...]


@dataclass(frozen=True, slots=True)
class WishChange:
    """A wish that a person puts on record, and what stood before."""

    recipient: Recipient
    wish: Wish
    standing: tuple[Wish, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether it makes a difference to any message."""
        return stopped(self.standing) != stopped(self.after)

    @property
    def after(self) -> tuple[Wish, ...]:
        """What stands once it is on record."""
        return heard(self.standing, self.wish)


@dataclass(frozen=True, slots=True)
class Senders:
    """The sender ids that messages go under."""

    configured: Mapping[str, str | None]
    """By provider id."""
    name: Callable[[str | None], str] = sender
    """A sender id as wishes name it."""

    def of_attempt(self, own: str | None, provider: str) -> str | None:
        """The sender id of a message at this provider; None: the provider chooses it."""
        return own or self.configured.get(provider) or None

    def of_message(self, own: str | None) -> frozenset[str]:
        """Every sender it may go under; `UNKNOWN_SENDER` where that is not known."""
        names = [own] if own else [*self.configured.values()]
        known = [self.name(each) for each in names if each]
        return frozenset(known) if len(known) == len(names) else UNKNOWN_SENDER


def dated(wish: Wish, written: datetime, now: datetime) -> Wish:
    """A wish as it was read, told at a time that has come.

    Args:
        wish: with the time that stands in it.
        written: when it was put down, by the clock that says `now`.
        now: what is dated later tells nothing of when it was told.
    """
    at = min(wish.at, written)
    return replace(wish, at=UNDATED if at > now + CLOCKS_DIFFER else at)


def heard(wishes: tuple[Wish, ...], new: Wish) -> tuple[Wish, ...]:
    """What stands after one more wish; the same where a newer one counts."""
    if any(_decides(old, new) and old.at > new.at for old in wishes):
        return wishes
    if new.sender == EVERY_SENDER and not new.stopped:
        return (*(old for old in wishes if old.at > new.at), new)
    return (*(old for old in wishes if old.sender != new.sender), new)


def _decides(old: Wish, new: Wish) -> bool:
    """Whether only the newer one of the two counts."""
    return old.sender == new.sender or (old.sender == EVERY_SENDER and not old.stopped)


def stopped(wishes: Iterable[Wish]) -> frozenset[str]:
    """Senders whose messages are not wanted."""
    return frozenset(wish.sender for wish in wishes if wish.stopped)


def stops(unwanted: frozenset[str], senders: frozenset[str]) -> bool:
    """Whether a message under these senders must not go to who does not want those."""
    if EVERY_SENDER in unwanted or senders == UNKNOWN_SENDER:
        return bool(unwanted)
    return not unwanted.isdisjoint(senders)


def named(sender_id: str) -> str:
    """A sender of a wish, for people."""
    return sender_id or "every sender"
