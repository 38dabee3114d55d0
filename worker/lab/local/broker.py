"""A private RabbitMQ node on this machine, alone or as one of a cluster.

Rules: all its files are in one directory. Broker, distribution and epmd listen on loopback only. A
system-wide RabbitMQ is never read, written or contacted. Users, permissions and policies come from
`deploy/rabbitmq/definitions.json`, with generated passwords. The node starts without Debian's
wrapper, which refuses all users except root and rabbitmq.
Environment variables and configuration keys: https://www.rabbitmq.com/docs/configure.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aio_pika.exceptions import AMQPError

from worker.broker.connection import connect
from worker.lab.local.port import HOST, Port
from worker.lab.local.process import Child, LocalError
from worker.lab.local.programs import find_rabbitmq

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

USERS: Final = ("worker", "upstream", "webhook", "dashboard", "observer", "administrator")
"""Broker users, named after their roles."""

DEFINITIONS: Final = Path(__file__).parents[3] / "deploy" / "rabbitmq" / "definitions.json"

_START_WITHIN_S = 90.0
_USUAL_WATERMARK = "0.4"
_ALARM_AT = "0.000001"
"""Shares of the machine's memory."""


def with_passwords(definitions: Mapping[str, Any], passwords: Mapping[str, str]) -> dict[str, Any]:
    """Definitions in which each user has its given password."""
    users = [
        {"name": user["name"], "tags": user["tags"], "password": passwords[user["name"]]}
        for user in definitions["users"]
    ]
    return {**definitions, "users": users}


@dataclass(frozen=True)
class _Cluster:
    """What all nodes of a cluster have in common."""

    home: Path
    """Folder with Erlang's cookie."""
    first: str
    """Name of the node that the others join."""
    epmd_port: Port = field(default_factory=Port)
    passwords: Mapping[str, str] = field(
        default_factory=lambda: {user: secrets.token_urlsafe(24) for user in USERS}
    )


class Broker:
    """One RabbitMQ node. Its data survive `stop`, `kill` and `restart`.

    Args:
        directory: for all its files.
        settings: further lines of its configuration.
        metrics: whether it serves its own metrics for Prometheus, see `metrics`.
        joins: a node that runs, whose cluster this one joins at its first start.
    """

    def __init__(
        self,
        directory: Path,
        settings: Sequence[str] = (),
        *,
        metrics: bool = False,
        joins: Broker | None = None,
    ) -> None:
        self._home = directory.resolve()
        self._settings = tuple(settings)
        self.port = Port()
        self._distribution_port = Port()
        self._metrics_port = Port() if metrics else None
        self.cluster: _Cluster = _Cluster(self._home, self.name) if joins is None else joins.cluster
        self._is_first = joins is None
        self._epmd: Child | None = None
        self._node: Child | None = None

    @property
    def urls(self) -> dict[str, str]:
        """AMQP address by user name."""
        return self.urls_with()

    def urls_with(self, *others: Broker) -> dict[str, str]:
        """AMQP address by user name, with this node and others of its cluster as hosts."""
        hosts = ",".join(f"{HOST}:{node.port}" for node in (self, *others))
        return {
            user: f"amqp://{user}:{password}@{hosts}/%2F"
            for user, password in self.cluster.passwords.items()
        }

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return f"sms-{self.port}@localhost"

    @property
    def metrics(self) -> str | None:
        """Host and port of its metrics; None without."""
        return f"{HOST}:{self._metrics_port}" if self._metrics_port else None

    @property
    def children(self) -> tuple[Child, ...]:
        """The processes of the node."""
        return tuple(child for child in (self._epmd, self._node) if child is not None)

    async def start(self) -> None:
        """Start the node; returns when every user can log in.

        Raises:
            LocalError: RabbitMQ is missing or did not start.
        """
        programs = find_rabbitmq(os.environ)
        self._write_files()
        environment = self._environment()
        if self._is_first and (self._epmd is None or not self._epmd.running):
            self._epmd = self._child("epmd", programs.epmd, environment)
            await self._epmd.start()
        self._node = self._child("rabbitmq", programs.server, environment)
        await self._node.start()
        await self._node.ready(self._listens, within_s=_START_WITHIN_S)
        await asyncio.gather(*map(_check_login, self.urls.values()))

    async def stop(self) -> None:
        """Stop the node cleanly. Idempotent; safe when never started."""
        for child in reversed(self.children):
            await child.stop(grace_s=30.0)

    async def kill(self) -> None:
        """SIGKILL the node."""
        if self._node is not None:
            await self._node.kill()

    async def restart(self) -> None:
        """Stop the node and start it again: same address, same data."""
        if self._node is not None:
            await self._node.stop(grace_s=30.0)
        await self.start()

    async def memory_alarm(self, *, on: bool) -> None:
        """Make the node believe that its memory is used up, so that it blocks publishers.

        Raises:
            LocalError: the node did not take the command.
        """
        watermark = _ALARM_AT if on else _USUAL_WATERMARK
        await self.rabbitmqctl("set_vm_memory_high_watermark", watermark)

    async def rabbitmqctl(self, *arguments: str) -> str:
        """Run RabbitMQ's own command against the node; returns what it prints.

        Raises:
            LocalError: the node did not take the command.
        """
        process = await asyncio.create_subprocess_exec(
            find_rabbitmq(os.environ).rabbitmqctl,
            *arguments,
            env=self._environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise LocalError(f"rabbitmqctl failed: {output.decode(errors='replace')}")
        return output.decode(errors="replace")

    def _child(self, name: str, program: str, environment: Mapping[str, str]) -> Child:
        log = self._home / "logs" / f"{name}.log"
        return Child(name, [program], environment=environment, log=log, directory=self._home)

    def _write_files(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        self._home.chmod(0o700)
        definitions = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
        files = {
            "definitions.json": json.dumps(with_passwords(definitions, self.cluster.passwords)),
            "rabbitmq.conf": self._configuration(),
            "rabbitmq-env.conf": "",
            "enabled_plugins": "[rabbitmq_prometheus].\n" if self._metrics_port else "[].\n",
        }
        for name, text in files.items():
            (self._home / name).write_text(text, encoding="utf-8")

    def _configuration(self) -> str:
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"load_definitions = {self._home}/definitions.json",
            "log.console = true",
            "log.console.level = warning",
            "log.file = false",
            "disk_free_limit.absolute = 256MB",
            # A worker reads a too long message into memory before it can refuse it.
            "max_message_size = 4194304",
            # Small files: a laptop needs no 512 MB write-ahead log.
            "raft.wal_max_size_bytes = 67108864",
            *self._settings,
        ]
        if not self._is_first:
            node = "cluster_formation.classic_config.nodes.1"
            lines += [
                "cluster_formation.peer_discovery_backend = classic_config",
                f"{node} = {self.cluster.first}",
                "cluster_formation.randomized_startup_delay_range.min = 0",
                "cluster_formation.randomized_startup_delay_range.max = 1",
            ]
        if self._metrics_port:
            lines += [f"prometheus.tcp.ip = {HOST}", f"prometheus.tcp.port = {self._metrics_port}"]
        return "\n".join(lines) + "\n"

    def _environment(self) -> dict[str, str]:
        home = str(self._home)
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.cluster.home),  # Erlang generates its cookie there, one a cluster
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.cluster.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{home}/rabbitmq-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{home}/data",
            "RABBITMQ_LOG_BASE": f"{home}/logs",
            "RABBITMQ_PID_FILE": f"{home}/rabbitmq.pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+sbwt none +sbwtdcpu none +sbwtdio none "
                "-kernel inet_dist_use_interface {127,0,0,1}"
            ),
            # The start script then becomes the node instead of waiting beside it. So there is one
            # process, which gets our signals.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self.port.number)
        except OSError:
            return False
        writer.close()
        return True


async def _check_login(url: str) -> None:
    """Check the login, because a node silently has no users if it cannot read definitions."""
    try:
        connection = await connect(url)
        await connection.close()
    except (AMQPError, OSError) as error:
        raise LocalError(f"RabbitMQ runs but refuses its own users: {error!r}") from error
