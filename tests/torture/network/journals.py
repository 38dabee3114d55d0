"""The providers' journals, of which each line is read once: for long runs and often asked rates."""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from tests.support.whole_system import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.whole_system import System


class Journals:
    """What the providers took, and when.

    Attributes:
        times: of each provider, in seconds of the machine's clock, oldest first.
    """

    def __init__(self, system: System) -> None:
        self._paths = {provider: system.stack.journal(provider) for provider in PROVIDERS}
        self._read = dict.fromkeys(PROVIDERS, 0)
        self.times: dict[str, list[float]] = {provider: [] for provider in PROVIDERS}

    def news(self) -> list[dict[str, Any]]:
        """What was taken since the last call."""
        return [line for provider in self._paths for line in self._lines(provider)]

    def _lines(self, provider: str) -> Iterator[dict[str, Any]]:
        if not self._paths[provider].exists():
            return
        with self._paths[provider].open("rb") as journal:
            journal.seek(self._read[provider])
            whole = journal.read().rpartition(b"\n")[0]  # the last line may be in the writing
        self._read[provider] += len(whole) + bool(whole)
        for text in whole.splitlines():
            line: dict[str, Any] = json.loads(text)
            self.times[provider].append(line["monotonic"])
            yield line

    def count(self) -> int:
        """How much was taken so far."""
        return sum(map(len, self.times.values()))

    def rate(self, since: float, until: float) -> float:
        """Messages taken per second between two moments of the machine's clock."""
        counts = (
            bisect_left(times, until) - bisect_left(times, since) for times in self.times.values()
        )
        return sum(counts) / (until - since)
