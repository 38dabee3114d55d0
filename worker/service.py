"""The three methods of every service: `start`, `drain` and `stop`.

`start` returns when the service is ready, or raises. It waits for a server that is away: meanwhile
the process lives and is not ready. `drain` takes nothing new and returns when nothing is in flight.
`stop` is idempotent and safe when never started. Services start in the order `worker.app` lists
them, and drain and stop in the reverse.

A background task that dies stops the process (`Background.failed`). Otherwise a process could be
half dead behind a green health check.

What must not be left undone, such as deliveries in hand, is registered (`Background.owes`). The
process names what is left in its last log line and in its exit code.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator

RETRY_S: Final = 1.0
"""Seconds, on average, between two looks at a server that is away at the start."""


class Service(Protocol):
    """A long-running part of the process."""

    async def start(self) -> None:
        """Become ready, or raise."""
        ...

    async def drain(self) -> None:
        """Take nothing new; return when nothing is in flight."""
        ...

    async def stop(self) -> None:
        """Release everything. Idempotent; safe when never started."""
        ...


class StartError(Exception):
    """The value of a setting cannot be used. The text names the variable and hides secrets."""


class ServerAwayError(StartError):
    """The server that a setting names does not answer. It may do so later."""


@contextmanager
def naming(
    setting: str,
    of: str,
    why: Callable[[Exception], str],
    passes: Callable[[Exception], bool] = lambda _: False,
) -> Iterator[None]:
    """Report an error inside the block as a problem of a setting.

    Args:
        setting: the variable.
        of: the place it names, without credentials.
        why: puts the error into words.
        passes: whether the error may pass by itself.

    Raises:
        ServerAwayError: the block raised an error that may pass.
        StartError: it raised another one.
    """
    try:
        yield
    except StartError:  # it names its setting already
        raise
    except Exception as error:
        kind = ServerAwayError if passes(error) else StartError
        raise kind(f"{setting}: {of}: {why(error)}") from error


async def once_there(
    step: Callable[[], Awaitable[None]], away: Callable[[ServerAwayError], None]
) -> None:
    """Repeat a step of the start until its server answers. It may be cancelled at any `await`.

    Args:
        step: raises `ServerAwayError` while the server is away. Any other error ends the wait.
        away: told of each try that failed.
    """
    while True:
        try:
            return await step()
        except ServerAwayError as error:
            away(error)
        await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until each has ended, whatever it ended with."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


async def every(
    seconds: float, tick: Callable[[], Awaitable[None]], stopping: asyncio.Event
) -> None:
    """Call `tick` each `seconds` until `stopping` is set, and one last time then."""
    while not stopping.is_set():
        try:
            async with asyncio.timeout(seconds):
                await stopping.wait()
        except TimeoutError:
            await tick()
    await tick()


class LeftUndoneError(Exception):
    """The process ended and left something undone. The text names all of it."""


class Background:
    """Runs long tasks. If one of them dies, the process must end.

    It holds strong references, because the event loop keeps only weak ones, and reports the first
    failure. It also knows what the process must finish before it ends.
    """

    def __init__(self) -> None:
        self._owed: list[tuple[str, Callable[[], int]]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: asyncio.Future[BaseException] | None = None

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` until it ends or `stop` cancels it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        failure = self._future()
        error = task.exception()
        if not failure.done() and error is not None:
            error.add_note(f"background task {task.get_name()!r} died")
            failure.set_result(error)

    def _future(self) -> asyncio.Future[BaseException]:
        if self._failure is None:
            self._failure = asyncio.get_running_loop().create_future()
        return self._failure

    async def failed(self) -> BaseException:
        """Wait until a task dies of an exception, and return that exception."""
        return await asyncio.shield(self._future())

    def owes(self, what: str, open_now: Callable[[], int]) -> None:
        """Register what must be done before the process ends.

        Args:
            what: its kind, in the plural: `deliveries of sms.send.bulk`.
            open_now: how many are open; asked at the end of the process.
        """
        self._owed.append((what, open_now))

    def left(self) -> list[str]:
        """Return what is open now, in words: `2 deliveries of sms.send.bulk`."""
        counts: Counter[str] = Counter()
        for what, open_now in self._owed:
            counts[what] += open_now()
        return [f"{count} {what}" for what, count in counts.items() if count]

    async def stop(self) -> None:
        """Cancel all running tasks and wait until they end."""
        await cancel_all(self._tasks)


class Loop(ABC):
    """A service with one task, which may be cancelled at any `await`.

    Args:
        background: runs the task.
        name: name of the task.
    """

    def __init__(self, background: Background, name: str) -> None:
        self._background = background
        self._name = name
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def run(self) -> None:
        """Do the work until cancelled."""

    async def start(self) -> None:
        """Start the task."""
        self._task = self._background.spawn(self.run(), self._name)

    async def drain(self) -> None:  # noqa: B027 - most have nothing to drain
        """Do nothing: no caller waits for work of the loop, so it runs until `stop`."""

    async def stop(self) -> None:
        """Stop the task. Idempotent; safe when never started."""
        if self._task is not None:
            await cancel_all([self._task])
            self._task = None
