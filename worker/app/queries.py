"""Builds what answers the queries."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from worker.control.preview import Previews
from worker.control.queries import QueryHandler
from worker.control.status import CurrentStatus
from worker.monitoring.account_answer import CHECK_WITHIN_S
from worker.monitoring.series import TimeSeries
from worker.monitoring.volume import messages_per_hour

if TYPE_CHECKING:
    from worker.app.accounts import Accounts
    from worker.app.control import ControlStores
    from worker.app.runtime import Runtime
    from worker.control.consents import Consents
    from worker.control.deciding import Deciding
    from worker.control.snapshot_follower import SnapshotFollower
    from worker.handlers.decode import CommandDecoder
    from worker.monitoring.health_reports import Reporting
    from worker.monitoring.measures import Measuring

STATUS_WAITS_S: Final = 1.0
"""How long a status waits for the target's account. It is asked every second."""


def query_handler(
    runtime: Runtime,
    accounts: Accounts,
    stores: ControlStores,
    *,
    follower: SnapshotFollower,
    measuring: Measuring,
    reports: Reporting,
    deciding: Deciding,
    consents: Consents,
    decoder: CommandDecoder,
) -> QueryHandler:
    """Build the handler of `sms.control.query`."""
    return QueryHandler(
        status=_status(runtime, accounts, stores, follower, measuring),
        previews=_previews(runtime, stores, measuring, deciding),
        series=_series(runtime, stores).last_hours,
        log=stores.log,
        book=stores.alerts,
        snapshots=follower,
        reporting=reports,
        guards=accounts.guards,
        normalise=decoder.normalise,
        consents=consents,
        replier=runtime.publisher,
        roles=runtime.cfg.roles,
        clock=runtime.clock,
    )


def _status(
    runtime: Runtime,
    accounts: Accounts,
    stores: ControlStores,
    follower: SnapshotFollower,
    measuring: Measuring,
) -> CurrentStatus:
    return CurrentStatus(
        log=stores.log,
        book=stores.alerts,
        replicas=stores.replicas,
        snapshots=follower,
        figures=measuring.figures,
        measures=partial(measuring.for_a_look, within_s=STATUS_WAITS_S),
        checkpoint=stores.evidence.read,
        alerts=runtime.alerts.standing,
        guards=accounts.guards,
        clock=runtime.clock,
    )


def _previews(
    runtime: Runtime, stores: ControlStores, measuring: Measuring, deciding: Deciding
) -> Previews:
    cfg = runtime.cfg
    # A preview may be asked for with each key that is typed, so it does not call the account anew.
    looking = replace(deciding, measures=partial(measuring.for_a_look, within_s=CHECK_WITHIN_S))
    providers = (cfg.target.id, cfg.legacy.id)
    volume = partial(messages_per_hour, stores.slots, providers, runtime.clock)
    return Previews(stores.log, looking, volume, runtime.clock)


def _series(runtime: Runtime, stores: ControlStores) -> TimeSeries:
    cfg = runtime.cfg
    return TimeSeries(stores.slots, stores.log, cfg.target.id, cfg.legacy.id, runtime.clock)
