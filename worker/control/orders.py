"""From a command as it crossed the wire to an order the core can rule on.

Rules: names become roles, documents become values, versions become states; what cannot is a refusal
that lists every problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.domain import flags, notices
from worker.domain.effects import KNOWN_GOOD, Order, Rank
from worker.domain.phases import Role

if TYPE_CHECKING:
    from datetime import timedelta

    from contracts.control import Command
    from worker.domain.flags import Flags, Snapshot
    from worker.domain.notices import Alert
    from worker.ports import AlertBook, ControlLog

KNOWN_GOOD_AFTER_S: Final = 1_800.0
"""A version that was in force for that long without an alarm is known to be good."""


class Unusable(Exception):  # noqa: N818 - a refusal, not a failure
    """The command cannot become an order."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Providers:
    """Ids of both providers."""

    target: str
    legacy: str

    def role(self, name: str) -> Role:
        """The role people mean by `name`."""
        found = flags.role_named(name, self.target, self.legacy)
        if found is None:
            text = f"provider: expected {self.target} or {self.legacy}, got {name!r}"
            raise Unusable("invalid", text)
        return found

    def id(self, name: str) -> str:
        """Id of the provider people mean by `name`."""
        return self.target if self.role(name) is Role.TARGET else self.legacy


async def order_of(
    command: Command,
    *,
    user: str,
    rank: Rank,
    age: timedelta,
    providers: Providers,
    log: ControlLog,
    book: AlertBook,
) -> Order:
    """Translate. Raises `Unusable`, and `StoreAway` where more must be read."""
    fields = command.model_dump(exclude={"flags"})
    provider = fields.get("provider")
    restored = fields.get("to")
    return Order(
        name=command.name,
        by=user,
        rank=rank,
        reason=command.reason,
        percentage=fields.get("at", fields.get("percentage")),
        dry_run=fields.get("dry_run", False),
        override=fields.get("override_gates"),
        leaving=fields.get("leaving"),
        provider=providers.role(provider) if provider is not None else None,
        user=fields.get("user"),
        branch=fields.get("branch"),
        flags=_flags(command, providers),
        proposal=fields.get("proposal"),
        label=fields.get("label", fields.get("alert", restored)),
        restored=await _older(restored, log) if restored is not None else None,
        alerts=await _alerts(fields, providers, book) if "alert" in fields else (),
        age=age,
    )


async def _alerts(
    fields: dict[str, Any], providers: Providers, book: AlertBook
) -> tuple[Alert, ...]:
    provider = fields["provider"]
    about = providers.id(provider) if provider is not None else None
    open_ones = (alert for alert, _ in await book.recent())
    return notices.named(open_ones, fields["alert"], about)


def _flags(command: Command, providers: Providers) -> Flags | None:
    document = getattr(command, "flags", None)
    if document is None:
        return None
    try:
        return flags.parse(document, providers.target, providers.legacy)[0]
    except flags.FlagsError as error:
        raise Unusable("invalid", "set-flags: " + "; ".join(error.problems)) from None


async def _older(wanted: str, log: ControlLog) -> Snapshot | None:
    if wanted == KNOWN_GOOD:
        return await log.known_good(KNOWN_GOOD_AFTER_S)
    last = await log.last()
    named = last[1].backups.get(wanted) if last else None
    if named is None and wanted.isdecimal():
        named = int(wanted)
    return await log.state_at(named) if named is not None else None
