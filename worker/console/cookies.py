"""The two cookies of the console: of a session, and of a browser before the log-in.

Rules: no script can read them, no other site's request carries them but for a link that is
followed (`Lax`: a link in a mail about an alert must find the session), and they end with the
browser. The token of a form belongs to one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console.security import port_of
from worker.console.tokens import Tokens, new_id

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from worker.console.place import Place

_SESSION: Final = "sms"
_BEFORE: Final = "sms-login"
_LONGEST: Final = 128


@dataclass(frozen=True)
class Cookies:
    """Reads and writes the cookies."""

    place: Place
    tokens: Tokens

    def session(self, request: Request) -> str:
        """The id of the session that the browser claims; empty: none."""
        return self._read(request, _SESSION)

    def token(self, request: Request) -> str:
        """A token for the forms of a session."""
        return self.tokens.of(self.session(request))

    def before(self, request: Request) -> tuple[str, str]:
        """A token for the form of the log-in, and the cookie it belongs to."""
        cookie = self._read(request, _BEFORE) or new_id()
        return self.tokens.of(cookie), cookie

    def proves(self, request: Request, token: str) -> bool:
        """Whether a token belongs to this browser: to its session, or at the log-in to that."""
        is_login = request.url.path == f"{self.place.base}/login"
        cookie = self._read(request, _BEFORE if is_login else _SESSION)
        return bool(cookie) and self.tokens.proves(token, cookie)

    def give(self, request: Request, answer: Response, ident: str) -> None:
        """Give the browser a session."""
        self._write(request, answer, _SESSION, ident)
        self._delete(request, answer, _BEFORE)

    def give_before(self, request: Request, answer: Response, cookie: str) -> None:
        """Give the browser what the token of the log-in belongs to."""
        self._write(request, answer, _BEFORE, cookie)

    def take(self, request: Request, answer: Response) -> None:
        """Take the session from the browser."""
        self._delete(request, answer, _SESSION)

    def _name(self, request: Request, name: str) -> str:
        return self.place.cookie(name, port_of(request))

    def _read(self, request: Request, name: str) -> str:
        return request.cookies.get(self._name(request, name), "")[:_LONGEST]

    def _write(self, request: Request, answer: Response, name: str, value: str) -> None:
        answer.set_cookie(
            self._name(request, name),
            value,
            path=self.place.cookie_path,
            secure=self.place.is_encrypted,
            httponly=True,
            samesite="lax",
        )

    def _delete(self, request: Request, answer: Response, name: str) -> None:
        answer.delete_cookie(
            self._name(request, name),
            path=self.place.cookie_path,
            secure=self.place.is_encrypted,
            httponly=True,
            samesite="lax",
        )
