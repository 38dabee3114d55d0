"""The simulator: a provider on a real socket, with faults scripted at run time.

Rules:
- There are two addresses. `base_url` serves the dialect and the control endpoints (`control`).
  `control_url` only serves the control endpoints, also while a fault refuses connections.
- A new script ends the effects of the old one: hanging answers, and the closed port.
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

    from worker.lab.simulator.wire import Dialect

Name = Literal["africastalking", "legacy"]


def dialects(name: Name) -> tuple[Dialect, ...]:
    """The dialects of a simulator, by its name."""
    return (AfricasTalking(),) if name == "africastalking" else (JsonBasic(), Kannel())


class Simulator:
    """A simulated provider.

    Args:
        dialect: `africastalking`, or `legacy` (json-basic and Kannel).
        host: address to listen on.
        port: port of `base_url`; 0: a free one.
        control_port: port of `control_url`; 0: a free one.
        username: the accepted user name; None: any.
        secret: API key or password; None: any that is not empty.
        report_url: address for delivery reports, unless a message names its own.
        optout_url: address for opt-outs.
        journal: JSON-lines file; continued if it exists.
        latency_ms: the wait before each answer.
        seed: seed of the random generator.
        reports: the reports after a taken SMS, unless a script names others.
        report_retry_s: pauses between tries of a callback, seconds.
        balance: balance of the account at the start, in ZMW.
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
        """The journal of taken SMS."""
        return self.engine.journal

    @property
    def base_url(self) -> str:
        """Address of the provider, once started."""
        return self._gates[0].url

    @property
    def control_url(self) -> str:
        """Address of the control endpoints that no fault affects, once started."""
        return self._gates[1].url

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
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
        """Stop listening, and cut off waiting clients after `grace_s`. Idempotent."""
        if self._reopening is not None:
            self._reopening.cancel()
        for gate in self._gates:
            gate.release()
        self._front.release()
        for server in self._servers:
            server.pre_shutdown()
        await asyncio.sleep(0)  # idle connections end here; only busy ones get the grace time
        await asyncio.gather(*(server.shutdown(grace_s or 0.001) for server in self._servers))
        self._servers.clear()
        await self.reporter.stop()
        self.engine.journal.close()

    def set_faults(self, script: Script | Sequence[dict[str, Any]]) -> None:
        """Put a script (or a list of rules, as in JSON) in force instead of the present one.

        Raises:
            ValueError: the script has problems; the present one stays in force.
        """
        if not isinstance(script, Script):
            script = Script.model_validate({"rules": script})
        self.engine.load(script, self.dialects)
        self._front.release()
        self._listen_as_scripted()
        if any(each.does is Do.CLOSE_BEFORE_READING for each in self.engine.faults.rules):
            self._servers[0].pre_shutdown()  # old connections must not bypass the fault

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.set_faults([])

    async def opt_out(self, number: str, sender: str = "") -> None:
        """Let a subscriber opt out: later SMS are refused, and the customer gets a callback."""
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
