"""Children of the local stack: start them, wait until they are ready, stop them completely.

Rules: every child has its own process group, so that Ctrl-C in the terminal only reaches the
parent. It writes to a log file and dies with its parent (`leash`). Before a signal, the start time
of a pid is compared with the kernel's record, so that a reused pid is never hit. This needs Linux
(`/proc` and `prctl`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

_LEASH = Path(__file__).with_name("leash.py")
_POLL_S = 0.05
_LOG_TAIL_LINES = 15


class LocalError(Exception):
    """A part of the local stack is missing or did not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """Identity of a process: its pid, and the start time that distinguishes it from later ones."""

    pid: int
    started: int
    """Clock ticks since boot: field 22 of /proc/PID/stat, proc(5)."""

    @classmethod
    def of(cls, pid: int) -> Self:
        """Read the identity of a running process.

        Raises:
            ProcessLookupError: there is no such process.
        """
        return cls(pid, _stat(pid)[1])

    def alive(self) -> bool:
        """Whether exactly this process runs (a zombie counts as ended)."""
        try:
            state, started = _stat(self.pid)
        except ProcessLookupError:
            return False
        return started == self.started and state != "Z"

    def signal(self, number: int) -> None:
        """Signal this process, if it still runs."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def end(self, grace_s: float) -> None:
        """Send SIGTERM, then SIGKILL after `grace_s`; returns when it is gone."""
        self.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._gone()
        self.signal(signal.SIGKILL)
        await self._gone()

    async def _gone(self) -> None:
        while self.alive():  # noqa: ASYNC110 - the end of a foreign process can only be polled
            await asyncio.sleep(_POLL_S)


def _stat(pid: int) -> tuple[str, int]:
    """Read state letter and start time. The name before the last `)` may contain anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


class Child:
    """One child process."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        directory: Path,
    ) -> None:
        self.name = name
        self.log = log
        self._command = tuple(command)
        self._environment = dict(environment)
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._id: ProcessId | None = None

    async def start(self) -> None:
        """Start the program without waiting until it is ready."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_LEASH), str(os.getpid())),
                *self._command,
                env=self._environment,
                cwd=self._directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._id = ProcessId.of(self._process.pid)

    @property
    def id(self) -> ProcessId:
        """Identity of the process last started."""
        if self._id is None:
            raise LocalError(f"{self.name}: not started")
        return self._id

    @property
    def running(self) -> bool:
        """Whether it is started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def ready(self, probe: Callable[[], Awaitable[bool]], within_s: float) -> None:
        """Wait until `probe` answers True.

        Raises:
            LocalError: the process ended, or the time is up. The text has the end of its log.
        """
        try:
            async with asyncio.timeout(within_s):
                while not await probe():
                    self._check_running()
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise LocalError(f"{self.name}: not ready in {within_s:g} s{self.tail()}") from None

    def _check_running(self) -> None:
        if self._process is not None and self._process.returncode is not None:
            code = self._process.returncode
            raise LocalError(f"{self.name}: ended with exit code {code}{self.tail()}")

    def tail(self) -> str:
        """The end of its log, to be appended to a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"; end of {self.log}:", *lines[-_LOG_TAIL_LINES:]])

    async def wait(self) -> int:
        """Wait until it ends; returns the exit code (negative: the signal)."""
        if self._process is None:
            raise LocalError(f"{self.name}: not started")
        return await self._process.wait()

    def signal(self, number: int) -> None:
        """Signal the process itself, if it runs."""
        if self.running:
            self.id.signal(number)

    async def stop(self, grace_s: float = 10.0) -> None:
        """Send SIGTERM, then SIGKILL to its whole group after `grace_s`. Idempotent."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """Send SIGKILL to its whole group; returns when it is gone. Idempotent."""
        if self._process is None:
            return
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


async def answers(url: str) -> bool:
    """Whether `GET url` answers 200 now."""
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as response:
            return response.status == HTTPStatus.OK
    except (aiohttp.ClientError, TimeoutError):
        return False
