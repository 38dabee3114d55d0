"""Opting out and opting in again: whose messages a recipient does not want. Pure rules.

Rules:
- A wish is about the sender id it names, else about every sender. Sender ids are compared as people
  read them: case, width, invisible marks and repeated blanks do not matter. A sender id that is a
  phone number is that number, however it is written. A short code is no phone number.
- The newest wish about a sender counts, by the time it was expressed. A wish that arrives late or
  twice changes nothing. A wish to get everything again lifts every older one.
- A wish is never dated later than it was written down. If the clock that wrote it is ahead of now,
  the wish counts as the oldest.
- A message goes under its own sender id, or else under the configured sender id of the provider
  that sends it. So an opt-out from either provider's sender id stops such a message at both. If a
  provider has no configured sender id, the sender is unknown and any opt-out stops the message.
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
"""How far apart the clocks of our machines may be."""
UNDATED: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of a wish whose real time is not known."""


_SHORT: Final = 6
"""The number of digits of the longest short code."""
_NUMBER: Final = re.compile(r"(?:tel:)?[+(]*[0-9][0-9 ()./\u2010-\u2015\u2212-]*")


@dataclass(frozen=True, slots=True)
class Home:
    """Reads phone numbers as people of one country write them."""

    code: str
    """The country code."""
    trunk: str
    """The trunk prefix, dialled before a national number; may be empty."""
    lengths: frozenset[int]
    """The possible numbers of digits of a national number."""

    def number(self, text: str) -> str | None:
        """Read a phone number as `+` and digits, a short code as digits; None: it is neither."""
        if not _NUMBER.fullmatch(text):
            return None
        digits = "".join(filter(str.isdigit, text))
        if len(digits) <= _SHORT:
            return digits if text in (digits, f"+{digits}") else None
        if "+" in text or digits.startswith("00"):
            abroad = digits.removeprefix("00")
            return f"+{self._at_home(abroad) or abroad}"
        national = self._at_home(digits) or self._national(digits)
        if national is None and digits.startswith("0"):
            return digits
        return f"+{national or digits}"

    def _at_home(self, digits: str) -> str | None:
        """Read a number that begins with the country code; None: it does not."""
        begins = digits.startswith(self.code)
        return self._national(digits.removeprefix(self.code)) if begins else None

    def _national(self, digits: str) -> str | None:
        """Put the country code before a national number, without its trunk prefix."""
        for rest in (digits.removeprefix(self.trunk), digits):
            if len(rest) in self.lengths:
                return self.code + rest
        return None


ZAMBIA: Final = Home("260", "0", frozenset({9}))


def sender(sender_id: str | None, home: Home = ZAMBIA) -> str:
    """Return a sender id in the form used in wishes; None or only blanks: every sender."""
    text = unicodedata.normalize("NFKC", sender_id or EVERY_SENDER).casefold()
    seen = (char for char in text if unicodedata.category(char) != "Cf")
    ascii_digits = "".join(str(unicodedata.decimal(char, char)) for char in seen)
    plain = " ".join(unicodedata.normalize("NFKC", ascii_digits).split())
    return home.number(plain) or plain


@dataclass(frozen=True, slots=True)
class Wish:
    """The last wish of a recipient about one sender."""

    sender: str
    """The sender id in the form that `sender` returns; `EVERY_SENDER`: about all."""
    stopped: bool
    """True: an opt-out; False: an opt-in."""
    at: datetime
    """When the wish was expressed."""
    source: str
    """Who reported it, in words for people."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A recipient with stored wishes."""

    recipient: Recipient
    wishes: tuple[Wish, ...]


@dataclass(frozen=True, slots=True)
class WishChange:
    """A wish that a person records, and the wishes stored before."""

    recipient: Recipient
    wish: Wish
    standing: tuple[Wish, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether it changes which messages are suppressed."""
        return stopped(self.standing) != stopped(self.after)

    @property
    def after(self) -> tuple[Wish, ...]:
        """The wishes after it is recorded."""
        return heard(self.standing, self.wish)


@dataclass(frozen=True, slots=True)
class Senders:
    """The sender ids that messages are sent under."""

    configured: Mapping[str, str | None]
    """Configured sender ids, by provider id."""
    name: Callable[[str | None], str] = sender
    """Turns a sender id into the form used in wishes."""

    def of_attempt(self, own: str | None, provider: str) -> str | None:
        """The sender id of a message at this provider; None: the provider chooses one."""
        return own or self.configured.get(provider) or None

    def of_message(self, own: str | None) -> frozenset[str]:
        """Every sender a message may go under; includes `UNKNOWN_SENDER` if one is not known."""
        names = [own] if own else [*self.configured.values()]
        known = [self.name(each) for each in names if each]
        return frozenset(known) if len(known) == len(names) else UNKNOWN_SENDER


def dated(wish: Wish, written: datetime, now: datetime) -> Wish:
    """Correct the time of a wish, so that it does not lie in the future.

    Args:
        wish: the wish with its own time.
        written: when it was written down.
        now: a wish dated later than this counts as the oldest.
    """
    at = min(wish.at, written)
    return replace(wish, at=UNDATED if at > now + CLOCKS_DIFFER else at)


def heard(wishes: tuple[Wish, ...], new: Wish) -> tuple[Wish, ...]:
    """The wishes after one more; unchanged if a newer wish counts."""
    if any(_decides(old, new) and old.at > new.at for old in wishes):
        return wishes
    if new.sender == EVERY_SENDER and not new.stopped:
        return (*(old for old in wishes if old.at > new.at), new)
    return (*(old for old in wishes if old.sender != new.sender), new)


def _decides(old: Wish, new: Wish) -> bool:
    """Whether the newer of the two wishes replaces the older."""
    return old.sender == new.sender or (old.sender == EVERY_SENDER and not old.stopped)


def stopped(wishes: Iterable[Wish]) -> frozenset[str]:
    """The senders whose messages the recipient does not want."""
    return frozenset(wish.sender for wish in wishes if wish.stopped)


def stops(unwanted: frozenset[str], senders: frozenset[str]) -> bool:
    """Whether a message under `senders` is suppressed by these unwanted senders."""
    if EVERY_SENDER in unwanted or senders == UNKNOWN_SENDER:
        return bool(unwanted)
    return not unwanted.isdisjoint(senders)


def named(sender_id: str) -> str:
    """The sender of a wish, in words for people."""
    return sender_id or "every sender"
