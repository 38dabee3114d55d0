"""What holds for a queue: its declaration, and the policy that matches its name.

Rules: an argument beats the policy where both say something; of two limits the smaller counts. An
argument or a policy that the simulation does not know raises `NotSimulated`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation.broker.refusals import NotSimulated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_POLICY: Final = frozenset(
    {
        "alternate-exchange",
        "dead-letter-exchange",
        "dead-letter-routing-key",
        "dead-letter-strategy",
        "delivery-limit",
        "max-length",
        "message-ttl",
        "overflow",
    }
)
_ARGUMENTS: Final = frozenset({"x-queue-type", *(f"x-{name}" for name in _POLICY)})


@dataclass(frozen=True, slots=True)
class Declaration:
    """How a queue was declared; a later declaration must say the same."""

    durable: bool
    exclusive: bool
    auto_delete: bool
    arguments: tuple[tuple[str, Any], ...]

    @property
    def is_quorum(self) -> bool:
        """Whether it is a quorum queue; else it is a classic one."""
        return dict(self.arguments).get("x-queue-type") == "quorum"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What holds for one queue."""

    ttl_ms: int | None = None
    dead_letter_exchange: str | None = None
    dead_letter_key: str | None = None
    at_least_once: bool = False
    delivery_limit: int | None = None
    max_length: int | None = None


class Policies:
    """The policies of a definitions file."""

    def __init__(self, policies: Iterable[Mapping[str, Any]]) -> None:
        ordered = sorted(policies, key=lambda each: -int(each["priority"]))
        self._policies = [
            (re.compile(each["pattern"]), each["apply-to"], _known(each["definition"]))
            for each in ordered
        ]

    def for_queue(self, name: str, declaration: Declaration) -> QueueSettings:
        """Return what holds for a queue."""
        arguments = {key.removeprefix("x-"): value for key, value in declaration.arguments}
        policy = self._matching(name, "queues")
        both = {**policy, **arguments}
        for limit in ("message-ttl", "max-length", "delivery-limit"):
            given = [source[limit] for source in (policy, arguments) if limit in source]
            both[limit] = min(given, default=None)
        refuses = both.get("overflow") == "reject-publish"
        if refuses and both["max-length"] is not None:
            raise NotSimulated("max-length with reject-publish")
        strategy = both.get("dead-letter-strategy")
        return QueueSettings(
            ttl_ms=both["message-ttl"],
            dead_letter_exchange=both.get("dead-letter-exchange"),
            dead_letter_key=both.get("dead-letter-routing-key"),
            at_least_once=declaration.is_quorum and refuses and strategy == "at-least-once",
            delivery_limit=both["delivery-limit"] if declaration.is_quorum else None,
            max_length=both["max-length"],
        )

    def alternate_of(self, exchange: str) -> str | None:
        """Return the alternate exchange of an exchange, if it has one."""
        alternate = self._matching(exchange, "exchanges").get("alternate-exchange")
        return None if alternate is None else str(alternate)

    def _matching(self, name: str, kind: str) -> Mapping[str, Any]:
        for pattern, applies_to, definition in self._policies:
            if applies_to in {kind, "all"} and pattern.search(name):
                return definition
        return {}


def _known(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = sorted(definition.keys() - _POLICY)
    if unknown:
        raise NotSimulated(f"policy {unknown[0]}")
    return definition


def declaration(
    *, durable: bool, exclusive: bool, auto_delete: bool, arguments: Mapping[str, Any] | None
) -> Declaration:
    """Check the arguments of a declaration."""
    given = dict(arguments or {})
    unknown = sorted(given.keys() - _ARGUMENTS)
    if unknown:
        raise NotSimulated(f"queue argument {unknown[0]}")
    if given.get("x-queue-type", "classic") not in {"classic", "quorum"}:
        raise NotSimulated(f"queue type {given['x-queue-type']}")
    return Declaration(
        durable=durable,
        exclusive=exclusive,
        auto_delete=auto_delete,
        arguments=tuple(sorted(given.items())),
    )
