"""A classic queue.

Rules: what comes back goes into its old place, and is not counted. A restart keeps only persistent
messages.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from tests.torture.simulation.broker.queues import Queue

if TYPE_CHECKING:
    from tests.torture.simulation.broker.messages import Entry

_PERSISTENT: Final = 2


class ClassicQueue(Queue):
    """See the module."""

    is_quorum = False
    __slots__ = ()

    def keep_what_lasts(self) -> None:
        """Lose what a restart loses."""
        self.ready = deque(
            entry for entry in self.ready if entry.message.properties.delivery_mode == _PERSISTENT
        )

    def _put_back(self, entry: Entry, *, lost: bool) -> None:
        del lost
        older: list[Entry] = []
        while self.ready and self.ready[0].position < entry.position:
            older.append(self.ready.popleft())
        self.ready.appendleft(entry)
        self.ready.extendleft(reversed(older))
