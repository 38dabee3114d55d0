"""Builds what handles a message after sending: delivery reports, opt-outs and the sweeper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.handlers.consent import Wishes
from worker.handlers.delivery_report_matcher import Matcher
from worker.handlers.delivery_reports import ReportHandler
from worker.handlers.sweep import Sweeper
from worker.numbers import sender_names

if TYPE_CHECKING:
    from worker.app.accounts import Accounts
    from worker.app.runtime import Runtime
    from worker.app.stores import Stores
    from worker.handlers.decode import CommandDecoder
    from worker.handlers.message_events import Announcer
    from worker.telemetry.metrics import AttemptMetrics


def wishes_of(runtime: Runtime, stores: Stores, decoder: CommandDecoder) -> Wishes:
    """Build what records the opt-outs that providers report."""
    return Wishes(
        suppressions=stores.suppressions,
        normalise=decoder.normalise,
        key=decoder.key,
        other_keys=decoder.other_keys,
        alerts=runtime.alerts,
        clock=runtime.clock,
        sender=sender_names(runtime.cfg.default_region),
    )


def report_matcher(
    runtime: Runtime, stores: Stores, announcer: Announcer, wishes: Wishes
) -> Matcher:
    """Build the matcher, which finds the attempt that a delivery report is about."""
    return Matcher(stores.due, stores.reports, announcer, wishes, runtime.clock, runtime.tracing)


def report_handler(
    runtime: Runtime, accounts: Accounts, stores: Stores, matcher: Matcher, wishes: Wishes
) -> ReportHandler:
    """Build the handler of the delivery reports that the webhook hands over."""
    return ReportHandler(
        providers={provider.id: provider for provider in accounts.providers.values()},
        reports=stores.reports,
        matcher=matcher,
        wishes=wishes,
        publisher=runtime.publisher,
        clock=runtime.clock,
    )


def sweeper_of(
    runtime: Runtime,
    accounts: Accounts,
    stores: Stores,
    *,
    metrics: AttemptMetrics,
    announcer: Announcer,
    matcher: Matcher,
) -> Sweeper:
    """Build the sweeper, which handles records that no delivery will come for any more."""
    return Sweeper(
        due=stores.due,
        messages=stores.records,
        reports=stores.reports,
        matcher=matcher,
        announcer=announcer,
        meter=metrics,
        reporting=accounts.reporting(),
        clock=runtime.clock,
        background=runtime.background,
        lease_s=runtime.cfg.lease_s,
        references=stores.references,
    )
