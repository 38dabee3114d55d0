"""Translates a command from the wire into a change that the core can decide on.

Rules: names become roles, documents become values, versions become states, numbers become
recipients. If one cannot, `ChangeRefused` lists every problem.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from contracts import control as wire
from worker.domain.alerts import notices
from worker.domain.migration import flags_document, moves, settings_changes, side_changes
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.changes import Request
from worker.domain.migration.last_known_good import FOR_S
from worker.domain.migration.phases import Role
from worker.domain.migration.provider_names import role_named
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from worker.control.consents import Consents
    from worker.domain.alerts.notices import Alert
    from worker.domain.migration.access import AccessRole
    from worker.domain.migration.changes import Change
    from worker.domain.migration.flags import Flags
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.alerts import AlertBook
    from worker.ports.steering import ControlLog

    _Document = wire.SetFlags | wire.Backup | wire.Restore
    _OfProvider = (
        wire.SetUserOverride | wire.ClearUserOverride | wire.SetBranchOverride
        | wire.ClearBranchOverride | wire.EnableProvider | wire.DisableProvider
        | wire.ResetBreaker
    )  # fmt: skip
    _Move = (
        wire.Advance | wire.Step | wire.SetPercentage | wire.Rollback | wire.EmergencyRollback
        | wire.Approve | wire.Reject | wire.Hold | wire.Resume | wire.Unlock | wire.RetireLegacy
    )  # fmt: skip

_VERSION: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
"""A version number that the store can look up."""


@dataclass(frozen=True, slots=True)
class Providers:
    """Ids of both providers."""

    target: str
    legacy: str

    def role(self, name: str) -> Role:
        """Return the role that people mean by `name`."""
        role = role_named(name, self.target, self.legacy)
        if role is None:
            text = f"provider: expected {self.target} or {self.legacy}, got {name!r}"
            raise ChangeRefused(ReplyCode.INVALID, text)
        return role

    def id(self, name: str) -> str:
        """Return the id of the provider that people mean by `name`."""
        return self.target if self.role(name) is Role.TARGET else self.legacy


@dataclass(frozen=True, slots=True)
class Translator:
    """Turns commands into changes.

    Args:
        providers: ids of the providers.
        roles: access role by broker user.
        log: for versions to restore.
        book: for alerts to acknowledge.
        consents: for recipients.
    """

    providers: Providers
    roles: Mapping[str, AccessRole]
    log: ControlLog
    book: AlertBook
    consents: Consents

    async def change(self, command: wire.Command, user: str, now: datetime) -> Change:
        """Translate a command. Raises `ChangeRefused`, and `StoreUnavailable` if it must read."""
        request = Request(
            by=user,
            role=self.roles[user],
            reason=command.reason,
            dry_run=getattr(command, "dry_run", False),
            override=getattr(command, "override_gates", None),
            age=now - command.issued_at,
        )
        match command:
            case wire.SetFlags() | wire.Backup() | wire.Restore():
                return await self._document(command, request)
            case wire.Ack():
                meant = await self._alerts(command)
                return side_changes.Ack(request, command.alert, meant)
            case wire.AddSuppression():
                wish = await self.consents.change(command, user, now)
                return side_changes.AddSuppression(request, wish)
            case wire.RemoveSuppression():
                wish = await self.consents.change(command, user, now)
                return side_changes.RemoveSuppression(request, wish)
            case (
                wire.SetUserOverride()
                | wire.ClearUserOverride()
                | wire.SetBranchOverride()
                | wire.ClearBranchOverride()
                | wire.EnableProvider()
                | wire.DisableProvider()
                | wire.ResetBreaker()
            ):
                return self._of_provider(command, request)
            case _:
                return _move(command, request)

    async def _document(self, command: _Document, request: Request) -> Change:
        match command:
            case wire.SetFlags():
                return settings_changes.SetFlags(request, self._flags(command))
            case wire.Backup():
                return settings_changes.Backup(request, command.label)
            case wire.Restore():
                older = await self._older(command.to)
                return settings_changes.Restore(request, command.to, older)
        assert_never(command)

    def _of_provider(  # noqa: PLR0911 - one case a command
        self, command: _OfProvider, request: Request
    ) -> Change:
        role = self.providers.role
        match command:
            case wire.SetUserOverride():
                provider = role(command.provider)
                return settings_changes.SetUserOverride(request, command.user, provider)
            case wire.ClearUserOverride():
                return settings_changes.ClearUserOverride(request, command.user)
            case wire.SetBranchOverride():
                provider = role(command.provider)
                return settings_changes.SetBranchOverride(request, command.branch, provider)
            case wire.ClearBranchOverride():
                return settings_changes.ClearBranchOverride(request, command.branch)
            case wire.EnableProvider():
                return settings_changes.EnableProvider(request, role(command.provider))
            case wire.DisableProvider():
                return settings_changes.DisableProvider(request, role(command.provider))
            case wire.ResetBreaker():
                return settings_changes.ResetBreaker(request, role(command.provider))
        assert_never(command)

    def _flags(self, command: wire.SetFlags) -> Flags:
        ids = self.providers.target, self.providers.legacy
        try:
            return flags_document.parse(command.flags, *ids)[0]
        except flags_document.FlagsError as error:
            text = "set-flags: " + "; ".join(error.problems)
            raise ChangeRefused(ReplyCode.INVALID, text) from None

    async def _alerts(self, command: wire.Ack) -> tuple[Alert, ...]:
        about = self.providers.id(command.provider) if command.provider is not None else None
        recent = (alert for alert, _ in await self.book.recent())
        return notices.named(recent, command.alert, about)

    async def _older(self, wanted: str) -> Snapshot | None:
        if wanted == settings_changes.KNOWN_GOOD:
            return await self.log.known_good(FOR_S)
        last = await self.log.last()
        version = last[1].backups.get(wanted) if last else None
        if version is None and _VERSION.fullmatch(wanted):
            version = int(wanted)
        return await self.log.state_at(version) if version is not None else None


def _move(command: _Move, request: Request) -> Change:  # noqa: C901, PLR0911 - one case a command
    match command:
        case wire.Advance():
            return moves.Advance(request, command.at)
        case wire.Step():
            return moves.Step(request)
        case wire.SetPercentage():
            return moves.SetPercentage(request, command.percentage)
        case wire.Rollback():
            return moves.Rollback(request, command.leaving)
        case wire.EmergencyRollback():
            return moves.EmergencyRollback(request)
        case wire.Approve():
            return moves.Approve(request, command.proposal)
        case wire.Reject():
            return moves.Reject(request, command.proposal)
        case wire.Hold():
            return moves.Hold(request)
        case wire.Resume():
            return moves.Resume(request)
        case wire.Unlock():
            return moves.Unlock(request)
        case wire.RetireLegacy():
            return moves.RetireLegacy(request)
    assert_never(command)
