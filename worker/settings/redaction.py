"""Hides the configured credentials in a text, as a whole and in parts.

Rules: pure. A credential is hidden in every form in which a library may write it: as it is,
percent-encoded, decoded, or escaped as in a Python or JSON string. `whole` hides complete forms.
`parts` also hides every run of six characters of a form, because error messages may quote a part of
an address. Shorter credentials are hidden only as a whole.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MARK: Final = "***"
RUN: Final = 6
"""The length from which a part of a credential is hidden."""
SHORTEST: Final = 4
"""Shorter credentials are not hidden, because they protect nothing and match everywhere."""


class Redactor:
    """Hides credentials.

    Args:
        secrets: every credential of the process, as configured.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= SHORTEST}
        longest_first = sorted(forms, key=len, reverse=True)
        self._whole = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._runs = frozenset(run for form in forms for run in _runs(form))

    def whole(self, text: str) -> str:
        """Hide complete credentials."""
        return self._whole.sub(MARK, text)

    def parts(self, text: str) -> str:
        """Hide credentials and all their longer parts."""
        text = self.whole(text)
        hidden = [text[at : at + RUN] in self._runs for at in range(len(text))]
        if not any(hidden):
            return text
        covered = [any(hidden[max(0, at - RUN + 1) : at + 1]) for at in range(len(text))]
        return "".join(_marked(text, covered))


def basic(username: str, password: str) -> str:
    """A login as in an HTTP header."""
    return base64.b64encode(f"{username}:{password}".encode(errors="surrogatepass")).decode()


def _marked(text: str, covered: list[bool]) -> Iterator[str]:
    before = False
    for char, hides in zip(text, covered, strict=True):
        if not hides:
            yield char
        elif not before:
            yield MARK
        before = hides


def _forms(secret: str) -> Iterator[str]:
    for plain in {secret, unquote(secret), unquote_plus(secret)}:
        yield plain
        yield quote(plain, errors="replace")
        yield quote(plain, safe="", errors="replace")
        yield quote_plus(plain, errors="replace")
        yield repr(plain)[1:-1]
        yield json.dumps(plain)[1:-1]
        yield json.dumps(plain, ensure_ascii=False)[1:-1]


def _runs(form: str) -> Iterator[str]:
    for at in range(len(form) - RUN + 1):
        yield form[at : at + RUN]
