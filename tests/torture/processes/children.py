"""The test's side of the nursery: starts worker processes, and knows how each ended."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from worker.lab.local.addresses import without_addresses
from worker.lab.local.parts import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(slots=True)
class Child:
    """One process from the nursery."""

    pid: int
    log: Path
    ended: asyncio.Future[int] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """Its exit code; negative: the signal."""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.ended.done()

    def signal(self, number: int) -> None:
        """Signal it, if it runs."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self, within_s: float) -> int:
        """Wait for its end; returns the exit code. Raises `TimeoutError`."""
        async with asyncio.timeout(within_s):
            return await asyncio.shield(self.ended)

    async def stop(self, within_s: float) -> int:
        """Send SIGTERM, and wait for its end."""
        self.signal(signal.SIGTERM)
        return await self.wait(within_s)

    async def kill(self) -> int:
        """Send SIGKILL, and wait for its end."""
        self.signal(signal.SIGKILL)
        return await self.wait(10.0)

    def logged(self) -> list[dict[str, Any]]:
        """The lines of its log, but for what is no JSON."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


class Nursery:
    """Starts children; an async context manager that ends them all.

    Args:
        directory: for their logs.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        self._orders: dict[int, asyncio.Future[Child]] = {}
        self._logs: dict[int, Path] = {}
        self._children: dict[int, Child] = {}

    async def __aenter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.torture.processes.nursery"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=without_addresses(os.environ),
        )
        self._reading = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in self._children.values():
            child.signal(signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reading

    async def start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> Child:
        """Start the program with these arguments; `name` is that of its log."""
        number = next(self._numbers)
        log = self._directory / f"{number:04d}-{name}.log"
        self._logs[number] = log
        order = {
            "start": number,
            "arguments": list(arguments),
            "environment": {**without_addresses(os.environ), **environment},
            "log": str(log),
        }
        self._orders[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await self._orders[number]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            if "started" in said:
                number = said["started"]
                child = Child(said["pid"], self._logs.pop(number))
                self._children[number] = child
                self._orders.pop(number).set_result(child)
            else:
                self._children.pop(said["ended"]).ended.set_result(said["code"])
