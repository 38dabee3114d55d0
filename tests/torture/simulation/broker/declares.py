"""What an inner channel declares, binds and deletes, with the names of aiormq's methods."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from pamqp import commands as spec

from tests.torture.simulation.broker import declaring
from tests.torture.simulation.broker.settings import declaration

if TYPE_CHECKING:
    from collections.abc import Callable


class Declares:
    """The part of `inner_channel.InnerChannel` that declares."""

    _on_channel: Callable[..., Any]

    async def _rpc(self, name: str, apply: Callable[[], Any]) -> Any:
        raise NotImplementedError

    async def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
        **options: Any,
    ) -> spec.Queue.DeclareOk:
        """Declare a queue, or look whether it is there."""
        if passive:
            declare = partial(self._on_channel, declaring.look_at_queue, queue)
        else:
            declare = partial(
                self._on_channel, declaring.declare_queue, queue, declaration(**options)
            )
        async with asyncio.timeout(timeout):
            messages, consumers = await self._rpc("declare_queue", declare)
        return spec.Queue.DeclareOk(queue, messages, consumers)

    async def queue_bind(self, queue: str, exchange: str, routing_key: str = "", **_: Any) -> None:
        """Bind a queue."""
        names = (str(queue), str(exchange), str(routing_key))
        await self._rpc("bind", partial(self._on_channel, declaring.bind, *names))

    async def queue_unbind(
        self, queue: str = "", exchange: str = "", routing_key: str = "", **_: Any
    ) -> None:
        """Undo `queue_bind`."""
        names = (str(queue), str(exchange), str(routing_key))
        await self._rpc("unbind", partial(self._on_channel, declaring.unbind, *names))

    async def exchange_declare(
        self,
        exchange: str,
        *,
        exchange_type: str = "topic",
        passive: bool = False,
        arguments: Any = None,
        **_: Any,
    ) -> None:
        """Declare an exchange, or look whether it is there."""
        if passive:
            declare = partial(self._on_channel, declaring.look_at_exchange, str(exchange))
        else:
            declare = partial(
                self._on_channel,
                declaring.declare_exchange,
                str(exchange),
                exchange_type,
                dict(arguments or {}),
            )
        await self._rpc("declare_exchange", declare)

    async def exchange_delete(self, exchange: str = "", **_: Any) -> None:
        """Delete an exchange."""
        delete = partial(self._on_channel, declaring.delete_exchange, str(exchange))
        await self._rpc("delete_exchange", delete)

    async def queue_purge(self, queue: str = "", **_: Any) -> spec.Queue.PurgeOk:
        """Empty a queue."""
        count = await self._rpc("purge", partial(self._on_channel, declaring.purge, str(queue)))
        return spec.Queue.PurgeOk(count)

    async def queue_delete(
        self, queue: str = "", *, if_unused: bool = False, if_empty: bool = False, **_: Any
    ) -> spec.Queue.DeleteOk:
        """Delete a queue."""
        conditions = {"if_unused": if_unused, "if_empty": if_empty}
        delete = partial(self._on_channel, declaring.delete_queue, str(queue), **conditions)
        return spec.Queue.DeleteOk(await self._rpc("delete_queue", delete))
