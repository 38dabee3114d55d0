"""Publishes messages and repeats each one until the broker confirms it.

Rules:
- If a publish times out or its connection dies, we do not know whether it arrived, so we repeat
  it. Every body carries an id that its consumer can recognise, so a repeat is harmless.
- Two publishes with the same message id are never in flight together on a channel: the client
  library matches returned messages by that id.
- Copies are mandatory and keep body, message id, type, correlation id and headers; they drop
  `user_id` (the broker would refuse it), `expiration` (it overrides the tier), CC and BCC.
- A copy always has a message id, because the client library invents one if it is missing, and that
  one would contradict the body's. We use the id in the body, else a stand-in that is marked so.
- Events are not mandatory: a missing consumer must not block a command. The alternate exchange
  counts the events that no queue takes.
- While the broker blocks the connection (memory or disk alarm), nothing more is published, and a
  publish in flight waits without a second copy. What is tried only once fails at once.
- One message must not stop all others. If the broker provably refuses a message, it is published
  without its publisher's headers; if that does not help, it is given up (`suspects`).
- We publish on the client library's inner channel: the message object of the outer one costs a
  fifth of a publish and is of no use here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from aio_pika import DeliveryMode
from aio_pika.exceptions import DeliveryError, PublishError
from pamqp.commands import Basic

from contracts.commands import own_message_id
from contracts.names import Exchange, Header, Key, retry_key
from worker.broker.connection import BROKEN, close, naming_losses, reraise_own_cancel
from worker.broker.suspects import GIVEN_UP_AFTER, GivenUp, Trial, Turns
from worker.broker.tolerant_decoding import for_copy, portable
from worker.handlers.dead_letters import cause_of
from worker.ports.broker import Unpublishable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aio_pika.abc import AbstractChannel
    from aiormq.abc import AbstractChannel as InnerChannel
    from pamqp.common import FieldTable

    from worker.broker.connection import BrokerConnection
    from worker.ports.broker import Event, Incoming
    from worker.service import Background

CONFIRM_TIMEOUT_S: Final = 10.0
METRICS_WITHIN_S: Final = 3.0
"""Longest time that the end of the process waits for metric events."""
MAX_REASON: Final = 2000
"""Bytes of a reason in a header, so that the header table of a dead letter can still be read."""
_DROPPED: Final = frozenset({"CC", "BCC"})
_log = structlog.get_logger(__name__)


class AmqpPublisher:
    """The `Publisher`, `Replier` and `Broadcast` ports on one connection.

    Args:
        connection: connection for publishing only.
        background: told of what has no confirm yet.
    """

    def __init__(self, connection: BrokerConnection, background: Background) -> None:
        self._connection = connection
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._in_flight: dict[str, asyncio.Event] = {}
        background.owes("publishes without a confirm", lambda: len(self._in_flight))
        self._broadcasts: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        self._given_up = GivenUp()
        self._on_broken: Callable[[str], None] = _nobody
        self.dropped_metrics = 0
        self.dead_letters: Counter[tuple[str, str]] = Counter()
        """Dead letters since the start, by the queue they came from and by cause."""

    def on_broken(self, call: Callable[[str], None]) -> None:
        """Register `call`, which gets the id of each message that is given up."""
        self._on_broken = call

    async def start(self) -> None:
        """Open the channel, so that the first publish finds it."""
        await self._open()

    async def drain(self) -> None:
        """Wait until all metric events that were handed over are published, but not for long."""
        if self._broadcasts:
            await asyncio.wait(self._broadcasts, timeout=METRICS_WITHIN_S)

    async def stop(self) -> None:
        """Close the channel. Idempotent."""
        channel, self._channel = self._channel, None
        if channel is not None and (error := await close(channel)) is not None:
            _log.info("channel not closed", error=type(error).__name__)

    async def event(self, event: Event) -> None:
        """See `Publisher.event`."""
        properties = Basic.Properties(
            message_id=event.id,
            message_type=event.type,
            content_type="application/json",
            correlation_id=event.correlation_id,
            delivery_mode=DeliveryMode.PERSISTENT.value,
            headers=dict(event.headers) if event.headers else None,
        )
        await self._publish(event.exchange, event.key, event.body, properties, mandatory=False)

    async def park(self, incoming: Incoming, tier: str, headers: Mapping[str, object]) -> None:
        """See `Publisher.park`."""
        key = retry_key(tier, incoming.queue)
        await self._copy(Exchange.RETRY, key, incoming, headers)

    async def dead(self, incoming: Incoming, reason: str, headers: Mapping[str, object]) -> None:
        """See `Publisher.dead`."""
        await self._copy(
            Exchange.DEAD, incoming.queue, incoming, _of_dead(incoming, reason, headers)
        )
        self.dead_letters[incoming.queue, cause_of(reason)] += 1

    async def _copy(
        self, exchange: str, key: str, incoming: Incoming, headers: Mapping[str, object]
    ) -> None:
        ours = _ours(incoming, headers)
        await self._publish(exchange, key, incoming.body, _copied(incoming, ours), ours=ours)

    async def reply(self, user: str, ident: str, body: bytes) -> None:
        """See `Replier.reply`. Tried once: an asker without a reply repeats its command id."""
        properties = Basic.Properties(
            content_type="application/json",
            message_type="ControlReply.v1",
            correlation_id=ident,
        )
        key = f"reply.{user}.{ident}"
        try:
            await self._once(Exchange.REPLIES, key, body, properties, mandatory=True)
        except BROKEN as error:  # also if the reply cannot be routed
            reraise_own_cancel()
            _log.warning("reply not taken", key=key, error=type(error).__name__)

    async def announce_state(self, body: bytes) -> None:
        """See `Replier.announce_state`. Tried once: replicas read the state every second anyway."""
        properties = Basic.Properties(content_type="application/json", message_type=Key.STATE)
        try:
            await self._once(Exchange.STATE, Key.STATE, body, properties)
        except BROKEN as error:
            reraise_own_cancel()
            _log.warning("state not announced", error=type(error).__name__)

    def metric(self, key: str, body: bytes) -> None:
        """See `Broadcast.metric`."""
        if not self._connection.is_up or self._connection.is_blocked:
            self.dropped_metrics += 1
            return
        task = asyncio.get_running_loop().create_task(self._metric(key, body))
        self._broadcasts.add(task)
        task.add_done_callback(self._broadcasts.discard)

    async def _metric(self, key: str, body: bytes) -> None:
        properties = Basic.Properties(content_type="application/json", message_type=key)
        try:
            await self._once(Exchange.METRICS, key, body, properties)
        except BROKEN:
            self.dropped_metrics += 1

    async def _once(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Basic.Properties,
        *,
        mandatory: bool = False,
    ) -> None:
        """Publish once; the time limit includes the opening of a channel. Raises `BROKEN`."""
        if self._connection.is_blocked:
            raise ConnectionRefusedError("blocked by the broker")
        async with asyncio.timeout(CONFIRM_TIMEOUT_S):
            async with self._turns.shared():
                channel = await self._open()
                await self._send(channel, exchange, key, body, properties, mandatory=mandatory)

    async def _send(
        self,
        channel: InnerChannel,
        exchange: str,
        key: str,
        body: bytes,
        properties: Basic.Properties,
        *,
        mandatory: bool,
    ) -> None:
        with naming_losses():
            await channel.basic_publish(
                body,
                exchange=exchange,
                routing_key=key,
                properties=properties,
                mandatory=mandatory,
            )

    async def _publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Basic.Properties,
        *,
        ours: FieldTable | None = None,
        mandatory: bool = True,
    ) -> None:
        """Publish until confirmed; publishes with the same message id wait for each other.

        Args:
            exchange: the exchange to publish to.
            key: routing key.
            body: published unchanged.
            properties: published unchanged, but for the headers, which may be replaced by `ours`.
            ours: our own headers, used alone if the broker may refuse those of the publisher.
            mandatory: whether the message must reach a queue.

        Raises:
            Unpublishable: the message is given up; see the rules of this file.
        """
        ident = properties.message_id or ""
        if ident in self._given_up:
            raise Unpublishable(ident)
        while (other := self._in_flight.get(ident)) is not None:
            await other.wait()
        self._in_flight[ident] = done = asyncio.Event()
        try:
            trial = Trial()
            attempt = partial(
                self._try, exchange, key, body, properties, trial, mandatory=mandatory
            )
            await self._repeat(attempt, trial, properties, ours)
        finally:
            del self._in_flight[ident]
            done.set()

    async def _repeat(
        self,
        attempt: Callable[[], Awaitable[BaseException | None]],
        trial: Trial,
        properties: Basic.Properties,
        ours: FieldTable | None,
    ) -> None:
        """Try until the publish is confirmed. Raises `Unpublishable`."""
        while (error := await attempt()) is not None:
            trial.failed(error)
            if trial.proofs:
                properties.headers = ours
            if trial.proofs == GIVEN_UP_AFTER:
                self._give_up(properties.message_id or "")
            await asyncio.sleep(trial.backoff_s)

    def _give_up(self, ident: str) -> None:
        self._given_up.add(ident)
        _log.critical("given up: the broker does not take it", message_id=ident)
        self._on_broken(ident)
        raise Unpublishable(ident)

    async def _try(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Basic.Properties,
        trial: Trial,
        *,
        mandatory: bool,
    ) -> BaseException | None:
        """Publish once; returns the error if it is not confirmed."""
        try:
            await self._connection.unblocked()
            async with self._turns.alone() if trial.accused else self._turns.shared():
                channel = await self._open()
                async with self._connection.patience(CONFIRM_TIMEOUT_S):
                    await self._send(channel, exchange, key, body, properties, mandatory=mandatory)
        except (PublishError, DeliveryError) as error:
            _log.error("publish refused", exchange=exchange, key=key, error=type(error).__name__)
            return error
        except BROKEN as error:
            reraise_own_cancel()
            _log.warning("publish not confirmed", key=key, error=type(error).__name__)
            return error
        return None

    async def _open(self) -> InnerChannel:
        """Return the channel; open a new one if it is gone."""
        if self._channel is not None and not self._channel.is_closed:
            return await self._channel.get_underlay_channel()
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._connection.channel()
            return await self._channel.get_underlay_channel()


def _nobody(_message_id: str) -> None:
    """Do nothing: the default of `on_broken`."""


def _of_dead(
    incoming: Incoming, reason: str, headers: Mapping[str, object]
) -> Mapping[str, object]:
    """Return the headers of a dead letter."""
    bounded = reason.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")
    return {**headers, Header.REASON: bounded, Header.SOURCE: incoming.queue}


def _ours(incoming: Incoming, headers: Mapping[str, object]) -> FieldTable:
    """Return the headers that we put on a copy."""
    named = incoming.message_id or own_message_id(incoming.body)
    stand_in: dict[str, object] = {} if named else {Header.NAMELESS: True}
    return portable({**stand_in, **{str(name): value for name, value in headers.items()}})


def _copied(incoming: Incoming, ours: FieldTable) -> Basic.Properties:
    """Return the properties of a copy."""
    kept = {
        name: value
        for name, value in incoming.headers.items()
        if name not in _DROPPED and not name.startswith("x-")
    }
    return Basic.Properties(
        message_id=incoming.message_id or own_message_id(incoming.body),
        message_type=incoming.type,
        content_type=incoming.content_type,
        correlation_id=incoming.correlation_id,
        timestamp=incoming.timestamp,
        delivery_mode=DeliveryMode.PERSISTENT.value,
        headers={**for_copy(kept), **ours},
    )
