"""Phone numbers as they may leave the process: masked for people, hashed for machines.

Rules: a plain hash of a phone number can be found by trying all numbers, so every hash is keyed
(HMAC-SHA-256, RFC 2104). All replicas use the same key, because records are matched by these
hashes. While it is changed, there are others beside it: what is stored with them is recognised.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Final

from worker.domain.messages.message import Recipient

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEPARATOR: Final = "\x1f"
_SHOWN_HEAD: Final = 4
_SHOWN_TAIL: Final = 3
_LONGEST: Final = 32
"""Most characters of a mask."""
_WRITTEN: Final = re.compile(rf"\+?[0-9][0-9 ()./-]{{0,{_LONGEST - 2}}}", re.ASCII)
"""A number as people write it."""


def mask(number: str) -> str:
    """Mask a number: `+260977123456` -> `+260******456`.

    A short one is hidden whole, and so is what is no number: a publisher may have put the text
    there, whose last characters are those of a code.
    """
    hidden = len(number) - _SHOWN_HEAD - _SHOWN_TAIL
    if hidden < _SHOWN_TAIL or _WRITTEN.fullmatch(number) is None:
        return "*" * min(len(number), _LONGEST)
    return f"{number[:_SHOWN_HEAD]}{'*' * hidden}{number[-_SHOWN_TAIL:]}"


def recipient(key: bytes, e164: str, others: Iterable[bytes] = ()) -> Recipient:
    """Return hash and mask of a number in E.164, with its hashes by the other keys."""
    hashed, *also = (_digest(each, "to", e164) for each in (key, *others))
    return Recipient(hash=hashed, mask=mask(e164), others=tuple(also))


def fingerprint(key: bytes, e164: str, text: str, sender_id: str | None) -> str:
    """A hash of the content. Two commands with one id are the same only if it is equal."""
    return _digest(key, "fingerprint", e164, sender_id or "", text)


def _digest(key: bytes, purpose: str, *parts: str) -> str:
    content = _SEPARATOR.join((purpose, *parts)).encode()
    return hmac.digest(key, content, "sha256").hex()
