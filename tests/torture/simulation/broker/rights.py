"""What each user may do, as the definitions file says it.

Rules: a user that the file does not name cannot log in. Patterns are searched for, not matched as a
whole. Topic permissions hold for one exchange; without any the key does not matter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation.broker.refusals import ACCESS_REFUSED, ChannelRefusal

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIGURE: Final = "configure"
WRITE: Final = "write"
READ: Final = "read"


class Rights:
    """The permissions of a definitions file."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._users = frozenset(each["name"] for each in definitions["users"])
        self._plain = {each["user"]: each for each in definitions["permissions"]}
        self._topics = {
            (each["user"], each["exchange"]): each for each in definitions["topic_permissions"]
        }
        self._granted: dict[tuple[str, ...], bool] = {}

    def knows(self, user: str) -> bool:
        """Whether a user can log in."""
        return user in self._users

    def check(self, user: str, right: str, kind: str, name: str) -> None:
        """Raise `ChannelRefusal` unless a user has a right on an exchange or a queue."""
        name = name or "amq.default"
        if not self._grants(self._plain.get(user), right, user, name):
            text = f"access to {kind} '{name}' in vhost '/' refused for user '{user}'"
            raise ChannelRefusal(ACCESS_REFUSED, text)

    def check_topic(self, user: str, right: str, exchange: str, key: str) -> None:
        """Raise `ChannelRefusal` unless a user has a right on a key of a topic exchange."""
        permission = self._topics.get((user, exchange))
        if permission is not None and not self._grants(permission, right, user, key):
            text = f"access to topic '{key}' in exchange '{exchange}' in vhost '/'"
            raise ChannelRefusal(ACCESS_REFUSED, f"{text} refused for user '{user}'")

    def _grants(
        self, permission: Mapping[str, Any] | None, right: str, user: str, name: str
    ) -> bool:
        if permission is None:
            return False
        asked = (user, permission.get("exchange", ""), right, name)
        if asked not in self._granted:
            pattern = permission[right].replace("{username}", user)
            self._granted[asked] = re.search(pattern, name) is not None
        return self._granted[asked]
