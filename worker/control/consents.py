"""Reads and changes the list of who wants no messages, for commands and queries.

Rules: a number comes in as people write it and leaves as hash and mask, so neither the control log
nor a reply contains it. A change by a person counts from the moment it was decided, so repeating an
old command never undoes a later change.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts.answers import WishView
from contracts.control import AddSuppression
from worker.domain.messages import consent, masking
from worker.domain.messages.consent import EVERY_SENDER, Wish, WishChange
from worker.domain.messages.message import Recipient
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.reply_codes import ReplyCode
from worker.numbers import NotANumber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from contracts.control import RemoveSuppression, Suppressions
    from worker.ports.consent import SuppressionBook


@dataclass(frozen=True, slots=True)
class Consents:
    """Looks up and changes who wants no messages.

    Args:
        book: the list.
        normalise: turns input into E.164, or says why it cannot.
        key: for the hashes of recipients.
        sender: turns a sender id into its form in wishes.
        other_keys: keys with which recipients may be stored too, while the key is changed.
    """

    book: SuppressionBook
    normalise: Callable[[str], str | NotANumber]
    key: bytes
    sender: Callable[[str | None], str] = consent.sender
    other_keys: tuple[bytes, ...] = ()

    async def change(
        self, command: AddSuppression | RemoveSuppression, user: str, at: datetime
    ) -> WishChange:
        """Return what a command changes. Raises `ChangeRefused`."""
        to = self._recipient(command.name, command.number)
        wish = Wish(
            self.sender(command.sender_id),
            stopped=isinstance(command, AddSuppression),
            at=at,
            source=f"command of {user}",
        )
        return WishChange(to, wish, await self._standing(to))

    async def carry_out(self, change: WishChange) -> None:
        """Record a change. Raises `StoreUnavailable`."""
        await self.book.put(change.recipient, change.wish)

    async def listed(self, query: Suppressions) -> list[WishView]:
        """List wishes: all of one number if the query names one, else those that stop messages."""
        if query.number is not None:
            to = self._recipient(query.name, query.number)
            return _lines(to, await self._standing(to))
        recent = await self.book.recent(query.limit)
        return [
            line
            for each in recent
            for line in _lines(each.recipient, (w for w in each.wishes if w.stopped))
        ]

    async def _standing(self, to: Recipient) -> tuple[Wish, ...]:
        """The wishes that are stored under any hash of a recipient; the newest of each sender."""
        standing: tuple[Wish, ...] = ()
        for hashed in to.hashes:
            for wish in await self.book.read(hashed):
                standing = consent.heard(standing, wish)
        return standing

    def seals(self, content: str) -> tuple[str, ...]:
        """Hash a command that names a number; by our keys, so that nobody can guess the number.

        The first seal is stored; a stored one may be any of them.
        """
        keys = (self.key, *self.other_keys)
        return tuple(hmac.digest(key, content.encode(), "sha256").hex() for key in keys)

    def _recipient(self, name: str, number: str) -> Recipient:
        to = self.normalise(number)
        if isinstance(to, NotANumber):
            raise ChangeRefused(ReplyCode.INVALID, f"{name}: number: {to.problem}")
        return masking.recipient(self.key, to, self.other_keys)


def stored(change: WishChange) -> dict[str, Any]:
    """Return a change as its entry in the control log stores it."""
    to, wish = change.recipient, change.wish
    return {
        "hash": to.hash,
        **({"others": list(to.others)} if to.others else {}),
        "mask": to.mask,
        "sender": wish.sender,
        "stopped": wish.stopped,
        "at": wish.at,
        "source": wish.source,
    }


def read(document: Any) -> WishChange:
    """Return the change that an entry stores."""
    wish = Wish(
        document["sender"],
        stopped=document["stopped"],
        at=document["at"],
        source=document["source"],
    )
    others = tuple(document.get("others", ()))
    return WishChange(Recipient(document["hash"], document["mask"], others), wish)


def _lines(to: Recipient, wishes: Iterable[Wish]) -> list[WishView]:
    return [
        WishView(
            recipient=to.mask or f"hash {to.hash[:12]}",
            sender=None if wish.sender == EVERY_SENDER else wish.sender,
            stopped=wish.stopped,
            at=wish.at,
            source=wish.source,
        )
        for wish in wishes
    ]
