"""Numbers as they may leave the process: masked for people, keyed hashes for machines.

Rules: a plain hash of a phone number is enumerable, so every hash is keyed (HMAC-SHA-256, RFC
2104). The same key serves every replica and never changes: records are matched by these hashes.
"""

from __future__ import annotations

import hmac
from typing import Final

from worker.domain.messages.message import Recipient

_SEPARATOR: Final = "\x1f"
_SHOWN_HEAD: Final = 4
_SHOWN_TAIL: Final = 3


def mask(e164: str) -> str:
    """`+260977123456` -> `+260******456`; short input is hidden whole."""
    hidden = len(e164) - _SHOWN_HEAD - _SHOWN_TAIL
    if hidden < _SHOWN_TAIL:
        return "*" * len(e164)
    return f"{e164[:_SHOWN_HEAD]}{'*' * hidden}{e164[-_SHOWN_TAIL:]}"


def recipient(key: bytes, e164: str) -> Recipient:
    """Hash and mask of a number in E.164."""
    return Recipient(hash=_digest(key, "to", e164), mask=mask(e164))


def fingerprint(key: bytes, e164: str, text: str, sender_id: str | None) -> str:
    """What two commands with one id must share to be the same command."""
    return _digest(key, "fingerprint", e164, sender_id or "", text)


def _digest(key: bytes, purpose: str, *parts: str) -> str:
    content = _SEPARATOR.join((purpose, *parts)).encode()
    return hmac.digest(key, content, "sha256").hex()
