"""The simulated RabbitMQ: exchanges, queues and sessions, as one synchronous state machine.

Rules:
- Nothing here waits; see `timed`.
- The same calls at the same times give the same state: nothing is random, and nothing goes through
  a set.
- A server is cheap: everything is declared once, on a prototype that is copied.
- Left out: the broker's own heartbeats and timeouts (it closes a channel that settles nothing for
  30 minutes), flow control, priorities, streams, transactions, further nodes.
- What was confirmed survives a restart, if its queue is durable. What was not confirmed may be
  there or not: that is decided where it travels, on the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.torture.simulation.broker.classic import ClassicQueue
from tests.torture.simulation.broker.dead_letters import bury
from tests.torture.simulation.broker.messages import Confirm
from tests.torture.simulation.broker.queues import Queue
from tests.torture.simulation.broker.refusals import (
    NOT_FOUND,
    PRECONDITION_FAILED,
    RESOURCE_LOCKED,
    ChannelRefusal,
)
from tests.torture.simulation.broker.routing import TOPIC, Exchange
from tests.torture.simulation.broker.sessions import Session
from tests.torture.simulation.broker.timed import Timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.broker.messages import Entry, Message
    from tests.torture.simulation.broker.rights import Rights
    from tests.torture.simulation.broker.sessions import Client
    from tests.torture.simulation.broker.settings import Declaration, Policies

DEFAULT: Final = ""
"""The exchange that leads to the queue whose name is the key."""


class Server(Timed):
    """A broker with one virtual host.

    Args:
        policies: what holds for which queue and exchange.
        rights: what each user may do.
        clock: seconds since the epoch.
    """

    def __init__(self, policies: Policies, rights: Rights, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.rights = rights
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        self.sessions: list[Session] = []
        self.is_alarmed = False
        self._policies = policies
        self._named = 0

    def copy(self, clock: Callable[[], float]) -> Server:
        """Return a server with the same exchanges and queues, the queues empty."""
        made = Server(self._policies, self.rights, clock)
        made.exchanges = {name: each.copy() for name, each in self.exchanges.items()}
        made.queues = {
            name: type(each)(made, name, each.declaration, each.settings)
            for name, each in self.queues.items()
        }
        return made

    def new_id(self) -> str:
        """Return an id that no message has; the client library gives one to each without."""
        self._named += 1
        return f"{self._named:032x}"

    # --- sessions ---------------------------------------------------------------------------

    def open(self, user: str, client: Client, origin: object = None) -> Session:
        """Open a connection.

        Raises:
            ConnectionRefusedError: the broker is down.
            PermissionError: there is no such login.
        """
        if not self.is_up:
            raise ConnectionRefusedError("nothing listens there")
        if not self.rights.knows(user):
            raise PermissionError(f"no login {user}")
        session = Session(self, user, client, origin)
        self.sessions.append(session)
        return session

    def forget(self, session: Session) -> None:
        """Delete the queues that only an ended session could use."""
        self.sessions.remove(session)
        for queue in [each for each in self.queues.values() if each.owner is session]:
            self.delete_queue(queue)

    def lose_connections(self, origin: object = None, *, told: bool = True) -> None:
        """End connections: what they hold goes back to the queues.

        Args:
            origin: where they come from; None: all.
            told: whether the clients learn of it.
        """
        for session in [each for each in self.sessions if origin in {None, each.origin}]:
            session.end()
            if told:
                session.client.connection_lost()

    # --- faults -----------------------------------------------------------------------------

    def stop(self) -> None:
        """Go down; only what is durable stays."""
        self.is_up = False
        self.lose_connections()
        for queue in [*self.queues.values()]:
            if queue.declaration.durable:
                queue.keep_what_lasts()
            else:
                self.delete_queue(queue)

    def start(self) -> None:
        """Come up again."""
        self.is_up = True
        self.on_due()

    def alarm(self, *, on: bool) -> None:
        """Be short of memory, or not any more: see `sessions`."""
        self.is_alarmed = on
        if not on:
            for session in [*self.sessions]:
                session.unblock()

    # --- routing ----------------------------------------------------------------------------

    def publish(self, message: Message, *, mandatory: bool) -> Confirm:
        """Put a message into every queue that its key leads to."""
        names = self.route(message)
        if not names:
            return Confirm.RETURNED if mandatory else Confirm.TAKEN
        answer = Confirm.TAKEN
        for name in names:
            if self.queues[name].put(message) is Confirm.REFUSED:
                answer = Confirm.REFUSED
        return answer

    def route(self, message: Message) -> tuple[str, ...]:
        """Return the names of the queues that a message goes to.

        Raises:
            ChannelRefusal: there is no such exchange.
        """
        if message.copies_to:
            keys = dict.fromkeys((message.key, *message.copies_to))
            found = [name for key in keys for name in self._leads(message.exchange, key)]
            names = tuple(dict.fromkeys(found))
        else:
            names = self._leads(message.exchange, message.key)
        if names or message.exchange == DEFAULT:
            return names
        alternate = self.exchanges[message.exchange].alternate
        return () if alternate is None else self.exchanges[alternate].route(message.key)

    def _leads(self, exchange: str, key: str) -> tuple[str, ...]:
        if exchange == DEFAULT:
            return (key,) if key in self.queues else ()
        return self.exchange(exchange).route(key)

    def bury(self, queue: Queue, entry: Entry, reason: str) -> None:
        """See `dead_letters.bury`."""
        bury(self, queue, entry, reason)

    # --- what is declared -------------------------------------------------------------------

    def exchange(self, name: str) -> Exchange:
        """Return an exchange. Raises `ChannelRefusal`."""
        found = self.exchanges.get(name)
        if found is None:
            raise ChannelRefusal(NOT_FOUND, f"no exchange '{name}' in vhost '/'")
        return found

    def queue(self, name: str, session: Session | None) -> Queue:
        """Return a queue that a session may use. Raises `ChannelRefusal`."""
        found = self.queues.get(name)
        if found is None:
            raise ChannelRefusal(NOT_FOUND, f"no queue '{name}' in vhost '/'")
        if found.owner is not None and found.owner is not session:
            text = f"cannot obtain exclusive access to locked queue '{name}' in vhost '/'"
            raise ChannelRefusal(RESOURCE_LOCKED, text)
        return found

    def declare_exchange(self, name: str, kind: str = TOPIC, alternate: str | None = None) -> None:
        """Declare an exchange, or check that it was declared so. Raises `ChannelRefusal`."""
        alternate = alternate or self._policies.alternate_of(name)
        found = self.exchanges.setdefault(name, Exchange(name, kind, alternate))
        if found.kind != kind:
            text = f"inequivalent arg 'type' for exchange '{name}' in vhost '/'"
            raise ChannelRefusal(PRECONDITION_FAILED, text)

    def declare_queue(self, name: str, wanted: Declaration, session: Session | None) -> Queue:
        """Declare a queue, or check that it was declared so. Raises `ChannelRefusal`."""
        if name not in self.queues:
            settings = self._policies.for_queue(name, wanted)
            kind = Queue if wanted.is_quorum else ClassicQueue
            made = self.queues[name] = kind(self, name, wanted, settings)
            made.owner = session if wanted.exclusive else None
            return made
        found = self.queue(name, session)
        if found.declaration != wanted:
            text = f"inequivalent arg for queue '{name}' in vhost '/'"
            raise ChannelRefusal(PRECONDITION_FAILED, text)
        return found

    def delete_queue(self, queue: Queue) -> int:
        """Delete a queue with its bindings; returns how many messages were ready in it."""
        self.queues.pop(queue.name, None)
        for exchange in self.exchanges.values():
            exchange.unbind(queue.name)
        return queue.end()

    def bind(self, queue: str, exchange: str, pattern: str, session: Session | None) -> None:
        """Bind a queue. Raises `ChannelRefusal`."""
        self.queue(queue, session)
        self.exchange(exchange).bind(queue, pattern)
