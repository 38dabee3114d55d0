"""Handles requests on the provider's address.

Rules:
- The order is: read, authenticate, choose the fault, take (journal), wait the latency, act. So a
  slow answer is about an SMS already taken, and the journal is never behind an answer.
- If a client goes away, only its answer is cancelled, but neither the SMS nor its reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, assert_never

from aiohttp import web

from worker.lab.simulator import acts
from worker.lab.simulator.script import Do
from worker.lab.simulator.wire import HttpRequest, Reply, text_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.lab.simulator.engine import Engine, Treated
    from worker.lab.simulator.reports import Reporter
    from worker.lab.simulator.script import Action
    from worker.lab.simulator.wire import Callback, Dialect

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_MAX_LINE: Final = 64 * 1024
"""Kannel carries the text in the request line."""


class Connection(web.RequestHandler):
    """One connection. It counts its requests and knows whether one is being handled."""

    __slots__ = ("busy", "requests")

    def __init__(self, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is off, as for aiohttp.web itself
            max_line_size=_MAX_LINE,
        )
        self.requests = 0
        self.busy = False

    def close(self) -> None:
        """Close at once if idle, else after the present answer."""
        if self.busy or self.transport is None:
            super().close()
        else:
            self.transport.close()


def tracked(handle: Handle) -> Handle:
    """A handler that marks its connection as busy."""

    async def handle_busy(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if not isinstance(connection, Connection):
            return await handle(request)
        connection.busy = True
        try:
            return await handle(request)
        finally:
            connection.busy = False

    return handle_busy


class _ClosesUnread(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Front:
    """Handles connections and requests of the provider's address.

    Args:
        engine: decides about each SMS and takes it.
        reporter: sends the reports.
        dialects: the dialects of the provider.
        otherwise: answers requests that belong to no dialect.
    """

    def __init__(
        self,
        engine: Engine,
        reporter: Reporter,
        dialects: Sequence[Dialect],
        otherwise: Handle,
    ) -> None:
        self._engine = engine
        self._reporter = reporter
        self._routes = {path: each for each in dialects for path in each.paths}
        self._accounts = {each.account_path: each for each in dialects if each.account_path}
        self._otherwise = otherwise
        self._released = asyncio.Event()

    def release(self) -> None:
        """End all hanging answers."""
        self._released.set()
        self._released = asyncio.Event()

    def accept(self, server: web.Server) -> asyncio.BaseProtocol:
        """Make the protocol of a new connection."""
        self._engine.requests.connections += 1
        if self._engine.faults.closes_connection():
            self._engine.requests.closed_unread += 1
            return _ClosesUnread()
        return Connection(server)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or do the script's action instead."""
        path = request.rel_url.path
        dialect = self._routes.get((request.method, path))
        if dialect is not None:
            try:
                return await self._submit(request, dialect)
            except asyncio.CancelledError:
                self._count("client_gone")
                raise
        if request.method == "GET" and path in self._accounts:
            read, engine = await _read(request), self._engine
            reply = self._accounts[path].balance(read, engine.account, engine.left)
            return acts.respond(reply)
        return await self._otherwise(request)

    async def _submit(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        read = await _read(request)
        kept_alive = self._note(request)
        asked = dialect.read(read, self._engine.account)
        if isinstance(asked, Reply):
            return self._respond(asked)
        treated = self._engine.treat(dialect, asked, kept_alive=kept_alive)
        wait_s = self._engine.wait_ms(treated[0].action) / 1000
        early = [first for each in treated for first in self._report(dialect, each, wait_s)]
        if wait_s:
            await asyncio.sleep(wait_s)
        for callback in early:
            await self._reporter.now(callback)
        return await self._act(request, dialect, treated)

    def _note(self, request: web.BaseRequest) -> bool:
        """Count a request; returns whether it is not the first on its connection."""
        connection, counts = request.protocol, self._engine.requests
        counts.paths[request.rel_url.path] += 1
        if not isinstance(connection, Connection):
            return False
        connection.requests += 1
        counts.kept_alive += connection.requests > 1
        return connection.requests > 1

    def _report(self, dialect: Dialect, treated: Treated, wait_s: float) -> Sequence[Callback]:
        """Schedule the callbacks of one SMS; returns those that go out before the answer."""
        verdict, plan = treated.verdict, treated.plan
        callbacks = list(treated.callbacks)
        early = [callbacks.pop(0)] if callbacks and plan.before_answer else []
        if verdict.taken and treated.action.optout:
            sender = verdict.sms.sender or ""
            callback = self._engine.opt_out(dialect, verdict.sms.to, sender)
            callbacks += [callback] if callback else []
        if callbacks:
            delay_s = self._engine.delay_ms(plan) / 1000
            self._reporter.schedule(callbacks, wait_s + delay_s)
        return early

    async def _act(
        self, request: web.BaseRequest, dialect: Dialect, treated: Sequence[Treated]
    ) -> web.StreamResponse:
        action, account = treated[0].action, self._engine.account
        verdicts = [each.verdict for each in treated]
        match action.do:
            case Do.ANSWER | Do.REFUSE:
                return self._respond(dialect.answer(verdicts, account))
            case Do.HTTP:
                return self._respond(_bare(action))
            case Do.GARBAGE:
                body = acts.GARBAGE if action.body is None else action.body.encode()
                return self._respond(replace(self._success(dialect, treated), body=body))
            case Do.HALF_BODY:
                acts.half(request.transport, self._success(dialect, treated))
            case Do.HANG:
                await self._hang(action)
                acts.close(request.transport)
            case Do.RESET:
                acts.reset(request.transport)
            case Do.CLOSE:
                acts.close(request.transport)
            case Do.CLOSE_BEFORE_READING | Do.UNREACHABLE:
                raise AssertionError(f"{action.do}: decided before any request is read")
            case _:
                assert_never(action.do)
        self._count(action.do)
        return acts.nothing()

    async def _hang(self, action: Action) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if action.for_ms is None else action.for_ms / 1000):
                await self._released.wait()

    def _success(self, dialect: Dialect, treated: Sequence[Treated]) -> Reply:
        """The answer of a success."""
        verdicts = [
            replace(each.verdict, taken=True, code=None, id=each.verdict.id or dialect.id_prefix)
            for each in treated
        ]
        return dialect.answer(verdicts, self._engine.account)

    def _respond(self, reply: Reply) -> web.Response:
        self._count(str(reply.status))
        return acts.respond(reply)

    def _count(self, answer: str) -> None:
        self._engine.requests.answers[answer] += 1


def _bare(action: Action) -> Reply:
    status = action.status or HTTPStatus.INTERNAL_SERVER_ERROR
    body = HTTPStatus(status).phrase if action.body is None else action.body
    headers = {name.title(): value for name, value in action.headers.items()}
    kind = headers.pop("Content-Type", "text/plain; charset=UTF-8")
    return replace(text_reply(status, body, headers), content_type=kind)


async def _read(request: web.BaseRequest) -> HttpRequest:
    return HttpRequest(
        method=request.method,
        path=request.rel_url.path,
        query=request.rel_url.raw_query_string,
        headers=request.headers,
        body=await request.read(),
    )
