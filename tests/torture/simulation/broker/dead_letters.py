"""Where the broker puts a message that it takes out of a queue by itself.

Rules (`rabbit_dead_letter` and `rabbit_fifo_dlx_worker` of 3.10):
- It does not go to a queue in which it died before, unless a consumer rejected it meanwhile.
- At most once: without a queue that takes it, it is gone.
- At least once: without a queue that takes it, the source withholds it (it counts as a message
  that is not ready) and tries again after `RETRY_MS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation.broker import deaths
from tests.torture.simulation.broker.messages import Confirm
from tests.torture.simulation.broker.refusals import NotSimulated

if TYPE_CHECKING:
    from tests.torture.simulation.broker.messages import Entry, Message
    from tests.torture.simulation.broker.queues import Queue
    from tests.torture.simulation.broker.server import Server

RETRY_MS: Final = 180_000
MOST_WITHHELD: Final = 32
"""A real source that withholds so many forwards no other dead letter either."""


def bury(server: Server, queue: Queue, entry: Entry, reason: str) -> None:
    """Dead-letter a message that left a queue; without a dead-letter exchange it is gone.

    Args:
        server: the broker.
        queue: what it left.
        entry: the message.
        reason: rejected, expired, maxlen or delivery_limit.
    """
    if queue.settings.dead_letter_exchange is not None:
        _forward(
            server, queue, deaths.letter(entry.message, queue, reason, server.now_ms()), reason
        )


def _forward(server: Server, queue: Queue, letter: Message, reason: str) -> None:
    names = server.route(letter) if letter.exchange in server.exchanges else ()
    if reason != "rejected":
        names = tuple(name for name in names if not _is_cycle(name, letter.headers["x-death"]))
    answers = [server.queues[name].put(letter) for name in names]
    if queue.settings.at_least_once and Confirm.TAKEN not in answers:
        _withhold(server, queue, letter, reason)


def _withhold(server: Server, queue: Queue, letter: Message, reason: str) -> None:
    queue.withheld += 1
    if queue.withheld >= MOST_WITHHELD:
        raise NotSimulated(f"{queue.withheld} dead letters of {queue.name} that no queue takes")

    def again() -> None:
        queue.withheld -= 1
        _forward(server, queue, letter, reason)

    server.remind(server.now_ms() + RETRY_MS, again)


def _is_cycle(name: str, died: list[Any]) -> bool:
    """Whether a message died in a queue before, and was rejected in none since."""
    for death in died:
        if death.get("reason") == "rejected":
            return False
        if death.get("queue") == name:
            return True
    return False
