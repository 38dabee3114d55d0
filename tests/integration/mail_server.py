"""A mail server and a web server for tests, on loopback, in the test's own loop."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trustme
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from email.message import EmailMessage

LOGIN = ("worker", "hush-mail")


class Authority:
    """Certificates for loopback, and a client that trusts them."""

    def __init__(self) -> None:
        self._root = trustme.CA()

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._root.issue_cert(*names or ("localhost", "127.0.0.1")).configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._root.configure_trust(context)
        return context


@dataclass
class Inbox:
    """What a mail server took.

    Attributes:
        mails: with `X-MailFrom` and `X-RcptTo` as the envelope had them, and `X-Login`.
        answer: given to each mail.
        silent: never answers a mail.
    """

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    answer: str = "250 taken"
    silent: bool = False
    came: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_DATA(self, _server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        if self.silent:
            await self.ended.wait()
        if self.answer.startswith("2"):
            mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
            mail["X-MailFrom"], mail["X-RcptTo"] = envelope.mail_from, ",".join(envelope.rcpt_tos)
            mail["X-Login"] = (session.auth_data.login or b"").decode() if session.auth_data else ""
            mail["X-Encrypted"] = "yes" if session.ssl else "no"
            self.mails.append(mail)
            self.came.set()
        return self.answer

    async def taken(self, count: int, within_s: float = 10.0) -> list[EmailMessage]:
        """Wait for so many mails."""
        async with asyncio.timeout(within_s):
            while len(self.mails) < count:
                self.came.clear()
                await self.came.wait()
        return self.mails


def _authenticated(*given: Any) -> AuthResult:
    data = given[-1]
    right = isinstance(data, LoginPassword)
    right = right and (data.login.decode(), data.password.decode()) == LOGIN
    return AuthResult(success=right, handled=False, auth_data=data)


@asynccontextmanager
async def mail_server(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    auth: bool = False,
) -> AsyncIterator[Inbox]:
    """A mail server: plain, with STARTTLS, or encrypted from the first byte."""
    inbox, loop = Inbox(), asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(
            inbox,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=auth,
            auth_require_tls=starttls is not None,
            authenticator=_authenticated if auth else None,
            loop=loop,
        )

    server = await loop.create_server(session, "127.0.0.1", 0, ssl=tls)
    inbox.port = server.sockets[0].getsockname()[1]
    try:
        yield inbox
    finally:
        inbox.ended.set()
        server.close()


@dataclass
class Hook:
    """What a web server was posted.

    Attributes:
        posts: bodies, parsed.
        paths: of every request, redirected ones too.
        targets: the same as they were written, with their queries.
        answer: status of the next answers.
        said: body of the next answers.
        judge: what answers instead, given the body; a service's rules.
        location: where a redirect leads.
        silent: never answers.
        large: answers without end.
    """

    port: int = 0
    posts: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    answer: int = 204
    said: str = ""
    judge: Callable[[Any], tuple[int, str]] | None = None
    location: str = ""
    silent: bool = False
    large: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def address(self, host: str = "localhost", path: str = "/hook/secret") -> str:
        return f"https://{host}:{self.port}{path}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.targets.append(request.raw_path)
        if self.silent:
            await self.ended.wait()
        body = await request.json()
        self.posts.append(body)
        headers = {"Location": self.location} if self.location else {}
        if self.large:
            endless = web.StreamResponse(headers=headers)
            await endless.prepare(request)
            while True:
                await endless.write(b"x" * 65_536)
        status, said = self.judge(body) if self.judge else (self.answer, self.said)
        return web.Response(status=status, text=said or None, headers=headers)


@asynccontextmanager
async def web_server(tls: ssl.SSLContext | None) -> AsyncIterator[Hook]:
    """A web server that takes any request."""
    hook = Hook()
    runner = web.ServerRunner(web.Server(hook.handle), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    hook.port = runner.addresses[0][1]
    try:
        yield hook
    finally:
        hook.ended.set()
        await runner.cleanup()
