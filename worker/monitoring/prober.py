"""Validation traffic: publishes probes like an upstream service, and checks their results.

Rules:
- Every replica runs one, without a leader. One due time means the same probe for all. The first
  replica that finds no record publishes it. Two that look at once publish copies of one message.
- Probes use the transactional lane. Behind the backlog of a campaign a probe would come too late,
  just when it is the only sign of a provider's health. It is one message in some seconds.
- Probes begin only when every replica knows of them, because a replica with an older state would
  take a probe for an ordinary message. So the first due time is one at which no replica's state can
  be older than the probes.
- A probe has a short life, and only one is published at a time. So nothing piles up while the
  broker or the providers are away.
- The results of the last probes are read from their records. So they survive restarts, and every
  replica sees the same.
"""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from contracts.codec import encode
from contracts.commands import SEND_TYPE, VALIDATION, VALIDATION_PROVIDER, SendSms
from contracts.names import Exchange, Key
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.migration.phases import Role
from worker.domain.probes import validation
from worker.ports.broker import Event
from worker.ports.store import StoreUnavailable
from worker.service import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from worker.domain.detection.evidence import Evidence
    from worker.domain.migration.snapshot import Snapshot
    from worker.domain.probes.settings import ValidationTraffic
    from worker.domain.probes.validation import Probe
    from worker.ports.alerts import Alerts
    from worker.ports.broker import Publisher
    from worker.ports.clock import Clock
    from worker.ports.messages import Reported
    from worker.ports.providers import Provider
    from worker.ports.steering import Snapshots
    from worker.service import Background

_LOOK_S: Final = 1.0
_log = structlog.get_logger(__name__)


class Prober(Loop):
    """A service that publishes the probes that no other replica has published.

    Args:
        snapshots: the state in force.
        records: the records of probes.
        evidence_of: returns the evidence of a lineage, which makes probes of legacy urgent.
        publisher: publishes probes.
        providers: the providers by role.
        alerts: raises and resolves alerts about probes.
        clock: time.
        background: runs the loop.
        delivery_age_s: the age at which an accepted message should have arrived, seconds.
        max_age_s: the age from which no replica sends by an older state, seconds.
    """

    def __init__(
        self,
        *,
        snapshots: Snapshots,
        records: Reported,
        evidence_of: Callable[[str], Awaitable[Evidence | None]],
        publisher: Publisher,
        providers: Mapping[Role, Provider],
        alerts: Alerts,
        clock: Clock,
        background: Background,
        delivery_age_s: float,
        max_age_s: float,
    ) -> None:
        super().__init__(background, "validation")
        self._snapshots = snapshots
        self._records = records
        self._evidence_of = evidence_of
        self._publisher = publisher
        self._providers = providers
        self._alerts = alerts
        self._clock = clock
        self._delivery_age = timedelta(seconds=delivery_age_s)
        self._max_age = timedelta(seconds=max_age_s)
        self._asked: dict[Role, tuple[ValidationTraffic, datetime]] = {}
        self._last: dict[Role, Probe] = {}

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            # Jitter, so that replicas do not look for the same record at the same moment.
            await asyncio.sleep(_LOOK_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            try:
                await self.look()
            except StoreUnavailable as away:
                _log.warning("no probes: the store is away", error=str(away))

    async def look(self) -> None:
        """Publish due probes, and check the last ones. Raises `StoreUnavailable`."""
        snapshot = self._snapshots.current
        if snapshot is None or not self._snapshots.is_fresh():
            return
        probed = validation.probed(snapshot)
        for role in Role:
            if role in probed:
                await self._probe(role, snapshot)
            else:
                self._leave(role)

    async def _probe(self, role: Role, snapshot: Snapshot) -> None:
        """Publish a probe once for each due time."""
        now = self._clock.now()
        asked = snapshot.flags.migration.validation
        seen = await self._evidence_of(snapshot.lineage) if role is Role.LEGACY else None
        every_s = validation.interval_s(role, asked, seen)
        probe = validation.due(role, snapshot, now, every_s)
        everywhere = probe.at >= self._first_seen(role, asked, now) + self._max_age
        if self._last.get(role) == probe:
            return
        if everywhere and await self._records.find(probe.id) is None:
            await self._publisher.event(_command(probe))
            _log.info("probe", message_id=probe.id, provider=self._providers[role].id)
        self._last[role] = probe
        await self._judge(role, snapshot, now, every_s)

    def _first_seen(self, role: Role, asked: ValidationTraffic, now: datetime) -> datetime:
        """Since when this replica knows that the provider is probed, and with which settings."""
        before = self._asked.get(role)
        if before is None or before[0] != asked:
            self._asked[role] = (asked, now)
        return self._asked[role][1]

    def _leave(self, role: Role) -> None:
        self._asked.pop(role, None)
        if self._last.pop(role, None) is not None:
            for code in (AlertCode.VALIDATION, AlertCode.VALIDATION_DELIVERY):
                self._alerts.resolve(code, "no longer probed", provider=self._providers[role].id)

    async def _judge(self, role: Role, snapshot: Snapshot, now: datetime, every_s: float) -> None:
        provider = self._providers[role]
        probes = validation.before(role, snapshot, now, every_s)
        answers = [validation.accepted(await self._records.find(each.id)) for each in probes]
        self._tell(AlertCode.VALIDATION, "accepted", provider.id, probes, answers)
        if provider.gives_reports:
            probes = validation.before(role, snapshot, now - self._delivery_age, every_s)
            answers = [validation.delivered(await self._records.find(each.id)) for each in probes]
            self._tell(AlertCode.VALIDATION_DELIVERY, "delivered", provider.id, probes, answers)

    def _tell(
        self,
        code: AlertCode,
        what: str,
        provider: str,
        probes: Sequence[Probe],
        answers: Sequence[bool | None],
    ) -> None:
        works = validation.works(answers)
        if works:
            self._alerts.resolve(code, f"probes are {what} again", provider=provider)
        elif works is False:
            self._alerts.raise_alert(
                code,
                f"{len(probes)} probes in a row were not {what}, last {probes[0].id}",
                provider=provider,
                suggested_command="sms-worker ctl health",
            )


def _command(probe: Probe) -> Event:
    body = SendSms(
        message_id=probe.id,
        to=probe.to,
        text=probe.text,
        message_type=VALIDATION,
        expires_at=probe.expires_at,
        metadata={VALIDATION_PROVIDER: str(probe.role)},
    )
    return Event(
        exchange=Exchange.COMMANDS,
        key=Key.SEND_TRANSACTIONAL,
        body=encode(body),
        id=probe.id,
        type=SEND_TYPE,
    )
