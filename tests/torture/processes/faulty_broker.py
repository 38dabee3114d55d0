"""The broker's library with fault points: aio-pika's API as far as our code uses it.

Rules: a publish has its points by its exchange, a delivery by how it is settled. Exchanges and
calls without points pass unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.torture.points import BY_NAME
from tests.torture.processes.faults import QUEUE
from worker.broker import connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.torture.processes.faults import Faults

_SETTLES: Final = frozenset({"ack", "nack", "reject"})


def loss() -> Exception:
    """The library's error for a connection that was lost."""
    return ConnectionResetError("a fault point")


class Faulty:
    """Something of the library; what is not replaced is the real thing's."""

    def __init__(self, faults: Faults, real: Any) -> None:
        self._faults = faults
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def _call(self, operation: str, call: Callable[[], Awaitable[Any]]) -> Any:
        if operation not in BY_NAME:
            return await call()
        return await self._faults.around(operation, call, loss)


class Opening:
    """Opens connections with fault points, in place of `worker.broker.connection.connect`."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def __call__(self, *args: Any, **options: Any) -> Any:
        """Open one."""
        return _Connection(
            self._faults,
            await self._faults.around(
                "broker.connect", lambda: connection.connect(*args, **options), loss
            ),
        )


class _Connection(Faulty):
    async def channel(self, **options: Any) -> _Channel:
        opened = await self._call("broker.channel", lambda: self._real.channel(**options))
        return _Channel(self._faults, opened)


class _Channel(Faulty):
    async def get_underlay_channel(self) -> _Inner:
        return _Inner(self._faults, await self._real.get_underlay_channel())

    async def set_qos(self, **options: Any) -> None:
        await self._call("broker.qos", lambda: self._real.set_qos(**options))

    async def get_queue(self, name: str, **options: Any) -> _Queue:
        return _Queue(self._faults, await self._real.get_queue(name, **options))

    async def get_exchange(self, name: str, **options: Any) -> _Exchange:
        return _Exchange(self._faults, await self._real.get_exchange(name, **options))


class _Exchange(Faulty):
    async def publish(self, message: Any, key: str, **options: Any) -> Any:
        return await self._call(
            _publish_to(self._real.name), lambda: self._real.publish(message, key, **options)
        )


class _Inner(Faulty):
    async def basic_publish(self, body: bytes, *, exchange: str, **options: Any) -> Any:
        return await self._call(
            _publish_to(exchange),
            lambda: self._real.basic_publish(body, exchange=exchange, **options),
        )


class _Queue(Faulty):
    async def consume(self, callback: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
        async def take(message: Any) -> None:
            QUEUE.set(self._real.name)
            await callback(_Message(self._faults, message))

        return await self._call("broker.consume", lambda: self._real.consume(take, **options))

    async def cancel(self, tag: str) -> Any:
        return await self._call("broker.cancel", lambda: self._real.cancel(tag))


class _Message(Faulty):
    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in _SETTLES:
            return real

        async def settle(**options: Any) -> None:
            await self._call(f"broker.{name}", lambda: real(**options))

        return settle


def _publish_to(exchange: str) -> str:
    """The operation of a publish to this exchange."""
    return f"broker.publish.{exchange.removeprefix('sms.')}"
