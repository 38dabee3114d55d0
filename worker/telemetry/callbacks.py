"""Counts what the webhook answers, and how long the broker takes to confirm a report.

Rules: labels come from our routes and our configuration, never from what a caller sends.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from contracts.names import Exchange
from worker.telemetry import names
from worker.telemetry.instrument import Buckets
from worker.telemetry.instruments import CONFIRMED, KIND, PROVIDER, SERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from worker.telemetry.instrument import Distribution, Sample

NO_PROVIDER: Final = "(unknown)"
"""Stands for every provider that is not configured, and for wrong tokens."""


class Answer(NamedTuple):
    """What a callback was answered."""

    method: str
    """`GET` or `POST`."""
    route: str
    """With placeholders, because the path holds a token."""
    status: int
    provider: str
    """A configured one, or `NO_PROVIDER`."""


class CallbackMetrics:
    """Counts callbacks and their reports.

    Args:
        providers: configured ids; their reports are shown from the start, with zeros.
        kinds: kinds of reports.
    """

    def __init__(self, providers: Iterable[str] = (), kinds: Iterable[str] = ()) -> None:
        pairs = [(provider, kind) for provider in providers for kind in kinds]
        self._reports: Counter[tuple[str, str]] = Counter(dict.fromkeys(pairs, 0))
        self._served: dict[Answer, Buckets] = {}
        self._confirmed = Buckets(CONFIRMED.bounds)

    def answered(self, answer: Answer, seconds: float) -> None:
        """Count a callback."""
        self._served.setdefault(answer, Buckets(SERVED.bounds)).add(seconds)

    def confirmed(self, provider: str, kind: str, seconds: float) -> None:
        """Count a report that the broker confirmed after so long."""
        self._reports[provider, kind] += 1
        self._confirmed.add(seconds)

    def served(self) -> Iterator[Distribution]:
        """How long callbacks took, seconds by answer."""
        for answer, counts in self._served.items():
            yield counts.read(
                {
                    names.METHOD: answer.method,
                    names.ROUTE: answer.route,
                    names.STATUS: str(answer.status),
                    names.SCHEME: "http",
                    PROVIDER: answer.provider,
                }
            )

    def reports(self) -> Iterator[Sample]:
        """Confirmed reports by provider and kind."""
        for (provider, kind), count in self._reports.items():
            yield count, {PROVIDER: provider, KIND: kind}

    def confirms(self) -> Iterator[Distribution]:
        """How long the broker took to confirm, seconds."""
        yield self._confirmed.read(
            {
                names.SYSTEM: names.SYSTEM_RABBITMQ,
                names.OPERATION_NAME: names.OPERATION_SEND,
                names.DESTINATION: str(Exchange.REPORTS),
            }
        )
