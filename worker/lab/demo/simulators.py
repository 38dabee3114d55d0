"""Sets faults and reads journals through both providers' control ports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from worker.lab.demo.facts import Taken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import aiohttp

_PAGE: Final = 1000
_NAMED: Final = re.compile(r"#(\S+)$")
"""Finds the message id in our texts."""


class Simulators:
    """A client of the control ports.

    Args:
        http: an open session.
        addresses: base address of the control port by provider.
    """

    def __init__(self, http: aiohttp.ClientSession, addresses: Mapping[str, str]) -> None:
        self._http = http
        self._addresses = dict(addresses)

    async def fault(self, provider: str, *actions: Mapping[str, Any]) -> None:
        """Put a fault in force. If several are given, each request gets one of them."""
        weighted = [{"weight": 1, "action": dict(action)} for action in actions]
        rule = {"action": dict(actions[0])} if len(actions) == 1 else {"weighted": weighted}
        url = self._addresses[provider] + "/faults"
        async with self._http.put(url, json=[rule]) as answer:
            answer.raise_for_status()

    async def heal(self, provider: str) -> None:
        """Remove all faults."""
        async with self._http.delete(self._addresses[provider] + "/faults") as answer:
            answer.raise_for_status()

    async def reports_pending(self) -> int:
        """The number of delivery reports of both providers that are still to come."""
        summaries = [await self._get(each, "/reports/summary") for each in self._addresses]
        return sum(int(each["pending"]) for each in summaries)

    async def taken(self, prefix: str) -> tuple[Taken, ...]:
        """All SMS in the journals whose text names a message with this prefix."""
        taken = []
        for provider in self._addresses:
            for entry in await self._journal(provider):
                named = _NAMED.search(entry["text"])
                if named and named[1].startswith(prefix):
                    taken.append(Taken(named[1], provider, entry["monotonic"]))
        return tuple(taken)

    async def _journal(self, provider: str) -> Sequence[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        while True:
            page = await self._get(provider, f"/journal?since={len(entries)}&limit={_PAGE}")
            entries += page["entries"]
            if len(entries) >= page["last"] or not page["entries"]:
                return entries

    async def _get(self, provider: str, path: str) -> dict[str, Any]:
        async with self._http.get(self._addresses[provider] + path) as answer:
            answer.raise_for_status()
            document: dict[str, Any] = await answer.json()
            return document
