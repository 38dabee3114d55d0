"""The simulator: a provider on a real socket, with faults scripted at run time.

Rules:
- Two addresses: `base_url` speaks the dialect and the control endpoints (`control`); the same
  control endpoints stay reachable on `control_url` while a fault keeps everybody else out.
- Loading a script releases whatever an older one holds: hangs, and the closed port.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from aiohttp import web

from worker.lab.simulator import control
from worker.lab.simulator.africastalking import AfricasTalking
from worker.lab.simulator.engine import Engine
from worker.lab.simulator.front import Connection, Front, tracked
from worker.lab.simulator.gate import Gate
from worker.lab.simulator.journal import Journal
from worker.lab.simulator.kannel import Kannel
from worker.lab.simulator.legacy import JsonBasic
from worker.lab.simulator.reports import RETRY_S, Reporter
from worker.lab.simulator.script import Do, ReportPlan, Script
from worker.lab.simulator.wire import Account

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from worker.lab.simulator.wire import Dialect

Name = Literal["africastalking", "legacy"]


def dialects(name: Name) -> tuple[Dialect, ...]:
    """What a simulator of this name speaks."""
    return (AfricasTalking(),) if name == "africastalking" else (JsonBasic(), Kannel())


class Simulator:
    """A simulated provider.

    Args:
        dialect: `africastalking`, or `legacy` (json-basic and Kannel).
        host: address to listen on.
        port: of `base_url`; 0 takes a free one.
        control_port: of `control_url`; 0 takes a free one.
        username: whose messages are taken; None: anybody's.
        secret: API key or password; None: any that is not empty.
        report_url: where delivery reports go, unless a message names its own address.
        optout_url: where opt-outs go.
        journal: JSON-lines file; continued if it exists.
        latency_ms: before each answer.
        seed: of all chance.
        reports: which reports follow a taken SMS, unless a script says otherwise.
        report_retry_s: pauses between tries of a callback, seconds.
        balance: of the account at the start, in ZMW.
    """

    def __init__(
        self,
        dialect: Name,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control_port: int = 0,
        username: str | None = None,
        secret: str | None = None,
        report_url: str | None = None,
        optout_url: str | None = None,
        journal: Path | None = None,
        latency_ms: float = 0.0,
        seed: int = 0,
        reports: ReportPlan | None = None,
        report_retry_s: Sequence[float] = RETRY_S,
        balance: Decimal = Decimal(1_000_000),
    ) -> None:
        self.engine = Engine(
            account=Account(username, secret),
            journal=Journal(dialect, journal),
            plan=reports or ReportPlan(),
            report_url=report_url,
            optout_url=optout_url,
            latency=float(latency_ms),
            seed=seed,
            left=balance,
        )
        self.reporter = Reporter(report_retry_s)
        self.dialects = dialects(dialect)
        self._address = (host, port)
        self._control_address = (host, control_port)
        self._front = Front(
            self.engine, self.reporter, self.dialects, partial(control.handle, self)
        )
        self._reopening: asyncio.TimerHandle | None = None
        self._servers: list[web.Server] = []
        self._gates: list[Gate] = []

    @property
    def journal(self) -> Journal:
        """Every SMS taken."""
        return self.engine.journal

    @property
    def base_url(self) -> str:
        """Address of the provider, once started."""
        return self._gates[0].url

    @property
    def control_url(self) -> str:
        """Address of the control endpoints that no fault touches, once started."""
        return self._gates[1].url

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; returns when connections are taken."""
        self.engine.journal.open()
        await self.reporter.start()
        try:
            for handle, accept, address in (
                (self._front.handle, self._front.accept, self._address),
                (partial(control.handle, self), Connection, self._control_address),
            ):
                server = web.Server(tracked(handle), handler_cancellation=True)
                self._servers.append(server)
                self._gates.append(Gate(partial(accept, server), *address))
                self._gates[-1].open()
        except BaseException:
            await self.stop()
            raise

    async def stop(self, grace_s: float = 0.0) -> None:
        """Stop listening, cut off who is still waiting after `grace_s`. Idempotent."""
        if self._reopening is not None:
            self._reopening.cancel()
        for gate in self._gates:
            gate.release()
        self._front.release()
        for server in self._servers:
            server.pre_shutdown()
        await asyncio.sleep(0)  # idle connections end here, and only the busy ones need the grace
        await asyncio.gather(*(server.shutdown(grace_s or 0.001) for server in self._servers))
        self._servers.clear()
        await self.reporter.stop()
        self.engine.journal.close()

    def set_faults(self, script: Script | Sequence[dict[str, Any]]) -> None:
        """Put a script (or a list of rules, as in JSON) in force instead of the present one.

        Raises:
            ValueError: what is wrong with it; the present one stays in force.
        """
        if not isinstance(script, Script):
            script = Script.model_validate({"rules": script})
        self.engine.load(script, self.dialects)
        self._front.release()
        self._listen_as_scripted()
        if any(each.does is Do.CLOSE_BEFORE_READING for each in self.engine.faults.rules):
            self._servers[0].pre_shutdown()  # nobody gets past it on an old connection

    def clear_faults(self) -> None:
        """No faults any more."""
        self.set_faults([])

    async def opt_out(self, number: str, sender: str = "") -> None:
        """A subscriber wants no more: refused from now on, and the customer is told."""
        callback = self.engine.opt_out(self.dialects[0], number, sender)
        if callback is not None:
            await self.reporter.now(callback)

    def _listen_as_scripted(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        action = self.engine.faults.unreachable()
        if action is None:
            self._gates[0].open()
            return
        self._gates[0].close()
        self._servers[0].pre_shutdown()
        if action.for_ms is not None:
            loop = asyncio.get_running_loop()
            self._reopening = loop.call_later(action.for_ms / 1000, self._gates[0].open)
