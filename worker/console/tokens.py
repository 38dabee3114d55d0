"""Tokens that prove that a form was made by this console for the browser that sends it.

Rules: pure but for chance. A token belongs to the value of one cookie, so nothing is stored for it.
It looks different each time (a mask is drawn and sent along), so that it cannot be guessed from the
length of a compressed page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

_BYTES: Final = 32
_LONGEST: Final = 128


def new_id() -> str:
    """An unguessable value for a cookie: 256 random bits."""
    return secrets.token_urlsafe(_BYTES)


class Tokens:
    """Makes and checks tokens with a key that only this process knows."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(_BYTES)

    def of(self, cookie: str) -> str:
        """A token for the browser that has this cookie."""
        mask = secrets.token_bytes(_BYTES)
        return base64.urlsafe_b64encode(mask + _mixed(mask, self._proof(cookie))).decode()

    def proves(self, token: str, cookie: str) -> bool:
        """Whether it was made for the browser that has this cookie."""
        try:
            given = base64.urlsafe_b64decode(token[:_LONGEST].encode())
        except (ValueError, binascii.Error):
            return False
        mask, mixed = given[:_BYTES], given[_BYTES:]
        whole = len(given) == 2 * _BYTES
        return whole and hmac.compare_digest(_mixed(mask, mixed), self._proof(cookie))

    def _proof(self, cookie: str) -> bytes:
        return hmac.digest(self._key, cookie.encode(errors="surrogatepass"), hashlib.sha256)


def _mixed(mask: bytes, value: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(mask, value, strict=True))
