"""The whole system on one machine: servers, both providers' simulators, webhook, console, workers.

Rules: every part is real and has its own process. A part whose address is in the environment
(`AMQP_URL`, `AMQP_URL_<USER>`, `MONGO_URL`) is used instead of started. Ports are free ones,
passwords and tokens are generated, and the data of an earlier run are removed first. `stack.json`
is written after each start of a process, so that the processes of a killed run can be found. The
children also die with their parent (`leash`). After `stop` nothing runs any more.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from worker.broker import topology
from worker.broker.connection import connect
from worker.lab.local.addresses import given_broker
from worker.lab.local.broker import Broker
from worker.lab.local.database import Database
from worker.lab.local.parts import ROOT, Parts, replica_name
from worker.lab.local.process import Child, LocalError, ProcessId
from worker.lab.local.record import Running, StackRecord, end_leftovers, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

_PART_WITHIN_S = 60.0
_STOP_GRACE_S = 10.0


async def _together(*work: Coroutine[Any, Any, object]) -> None:
    """Run all at once. The first failure cancels the rest and is raised unchanged."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in work:
                group.create_task(part)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


def _password(url: str) -> str:
    return unquote(urlsplit(url).password or "")


def _quiet(_line: str) -> None:
    """Print nothing."""


class Stack:
    """The running stack; an async context manager.

    Args:
        directory: directory of data, logs and `stack.json`.
        replicas: number of workers to start.
        profile: further environment of the workers, e.g. `SMS_LIFE_BULK_S`.
        say: called with each progress line.
        source: folder with the source of the workers to start; this program's by default.
        console: whether to start the console too.
    """

    def __init__(
        self,
        directory: Path,
        *,
        replicas: int = 2,
        profile: Mapping[str, str] | None = None,
        say: Callable[[str], None] = _quiet,
        source: Path = ROOT,
        console: bool = False,
    ) -> None:
        self.directory = directory.resolve()
        self.amqp: dict[str, str] = {}
        """AMQP address by broker user."""
        self.mongo_url = ""
        self.broker: Broker | None = None
        """None: the environment gave one."""
        self.database: Database | None = None
        """None: the environment gave one."""
        self.replicas: list[Child] = []
        """The workers in start order. A killed one keeps its index."""
        self._wanted = replicas
        self._source = source
        self._with_console = console
        self._say = say
        self._parts = Parts(self.directory, dict(profile or {}))
        self._children: list[Child] = []
        self._ready = False

    @property
    def http(self) -> dict[str, str]:
        """Base address by part: `africastalking`, `legacy`, `webhook`, `replica-1`, ..."""
        return self._parts.addresses

    @property
    def secrets(self) -> dict[str, str]:
        """Secrets generated for this run, by name."""
        return dict(self._parts.secrets)

    @property
    def environment(self) -> dict[str, str]:
        """The settings that the workers share, for a worker that is run beside them."""
        return self._parts.worker_environment(self.amqp["worker"], self.mongo_url)

    def journal(self, provider: str) -> Path:
        """File in which the simulator of `provider` notes every request it took."""
        return self._parts.journal(provider)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:  # also if cancelled, because no process may stay behind
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything; returns when every part is ready.

        Raises:
            LocalError: a stack runs in this directory, or a part is missing or did not start.
        """
        await self._clear_directory()
        await _together(self._start_broker(), self._start_database())
        await self._apply_topology()
        parts = [*self._parts.simulators(), self._parts.webhook(self.amqp["webhook"])]
        if self._with_console:
            parts.append(self._parts.console(self.amqp["observer"]))
        await _together(*(self._launch(child) for child in parts))
        await _together(*(self.add_replica(self._source) for _ in range(self._wanted)))
        self._ready = True
        self._write()
        self._say(f"ready: addresses in {self.directory}/stack.json")
        if self._with_console:
            self._say(f"console: {self.http['console']}; users and passwords: its `logins`")

    async def stop(self) -> None:
        """Stop everything, replicas first. Idempotent; safe when never started."""
        await asyncio.gather(*(child.stop(_STOP_GRACE_S) for child in self.replicas))
        await asyncio.gather(*(child.stop(_STOP_GRACE_S) for child in self._children))
        await asyncio.gather(*(server.stop() for server in self._servers()))
        if self._owns_record():
            (self.directory / "stack.json").unlink(missing_ok=True)

    async def add_replica(self, source: Path = ROOT) -> Child:
        """Start one more worker, from the folder `source`; returns it when it is ready."""
        number = len(self.replicas) + 1
        child = self._parts.replica(number, self.amqp["worker"], self.mongo_url, source)
        self.replicas.append(child)
        await self._launch(child)
        return child

    async def kill(self, replica_index: int) -> None:
        """Send SIGKILL to a worker, counted from 0."""
        await self.replicas[replica_index].kill()
        self._say(f"killed {replica_name(replica_index + 1)}")

    async def watch(self) -> None:
        """Watch for ever, and report each process that ends by itself."""
        await asyncio.gather(*map(self._report_end, self._everything()))
        await asyncio.Event().wait()

    async def _report_end(self, child: Child) -> None:
        code = await child.wait()
        self._say(f"{child.name}: ended by itself, exit code {code}{child.tail()}")

    async def _clear_directory(self) -> None:
        record = read_record(self.directory)
        if record is not None and record.owner.id.alive():
            raise LocalError(
                f"a stack runs in {self.directory} already (pid {record.owner.pid}): "
                "stop it with `sms-worker local down`"
            )
        for name in await end_leftovers(self.directory):
            self._say(f"ended {name}, left by a run that was killed")
        for name in ("broker", "database", "journals", "logs"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)

    async def _start_broker(self) -> None:
        if given := given_broker(os.environ, self._say):
            self.amqp = given
            self._say(f"broker: the one in AMQP_URL; needs {topology.DEFINITIONS_FILE} imported")
            return
        self._say("broker: starting RabbitMQ (some seconds)")
        self.broker = Broker(self.directory / "broker")
        await self.broker.start()
        self.amqp = self.broker.urls
        self._say("broker: ready")

    async def _start_database(self) -> None:
        if given := os.environ.get("MONGO_URL"):
            self.mongo_url = given
            self._say("database: the one in MONGO_URL")
            return
        self.database = Database(self.directory / "database")
        await self.database.start()
        self.mongo_url = self.database.url
        self._say("database: ready")

    async def _apply_topology(self) -> None:
        connection = await connect(self.amqp["worker"])
        async with connection, connection.channel() as channel:
            await topology.apply(channel)
        self._write()

    async def _launch(self, child: Child) -> None:
        self._children.append(child)
        await child.start()
        self._write()
        probe = self._parts.probe(child.name)
        await child.ready(probe, _PART_WITHIN_S)
        self._say(f"{child.name}: ready at {self._parts.addresses[child.name]}")

    def _owns_record(self) -> bool:
        record = read_record(self.directory)
        return record is not None and record.owner.pid == os.getpid()

    def _write(self) -> None:
        owner = ProcessId.of(os.getpid())
        record = StackRecord(
            owner=Running(name="stack", pid=owner.pid, started=owner.started),
            ready=self._ready,
            amqp=self.amqp,
            mongo=self.mongo_url,
            http=self.http,
            secrets=self.secrets,
            logins={user: _password(url) for user, url in self.amqp.items()},
            processes=tuple(self._running()),
        )
        write_record(self.directory, record)

    def _servers(self) -> list[Broker | Database]:
        return [server for server in (self.broker, self.database) if server is not None]

    def _everything(self) -> list[Child]:
        return [
            *(child for server in self._servers() for child in server.children),
            *self._children,
        ]

    def _running(self) -> list[Running]:
        return [
            Running(name=child.name, pid=child.id.pid, started=child.id.started, log=str(child.log))
            for child in self._everything()
            if child.running
        ]
