"""Builds what decodes a command and sends its message."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from worker.domain.figures import tariff
from worker.domain.messages.consent import Senders
from worker.domain.messages.message import Lane, OnUnknown
from worker.domain.migration import flags
from worker.handlers.choose import Chooser
from worker.handlers.decode import CommandDecoder
from worker.handlers.intents import Hybrid
from worker.handlers.provider_call import ProviderCalls
from worker.handlers.round_end import RoundEnds
from worker.handlers.send import SendHandler
from worker.handlers.settle import Settler
from worker.numbers import normaliser, sender_names
from worker.settings import yaml_files
from worker.telemetry.metrics import AttemptMetrics
from worker.telemetry.publisher import MetricsPublisher

if TYPE_CHECKING:
    from worker.app.accounts import Accounts
    from worker.app.runtime import Runtime
    from worker.app.stores import Stores
    from worker.control.snapshot_follower import SnapshotFollower
    from worker.handlers.message_events import Announcer
    from worker.handlers.round import PendingIntents
    from worker.settings.model import MessageSettings, Settings


def command_decoder(cfg: MessageSettings) -> CommandDecoder:
    """Build the decoder of commands from these settings."""
    return CommandDecoder(
        normalise=normaliser(cfg.default_region, cfg.allowed_regions, strict=cfg.strict_numbers),
        key=cfg.hash_key.get_secret_value().encode(),
        other_keys=tuple(key.get_secret_value().encode() for key in cfg.hash_keys_other),
        life_s={Lane.TRANSACTIONAL: cfg.life_transactional_s, Lane.BULK: cfg.life_bulk_s},
        policy={kind: OnUnknown(rule.value) for kind, rule in cfg.unknown_by_type.items()},
    )


def attempt_metrics(runtime: Runtime, accounts: Accounts) -> AttemptMetrics:
    """Build the counters of this process's attempts."""
    providers = [settings.id for settings in accounts.settings.values()]
    return AttemptMetrics(runtime.clock, providers, slow_ms=flags.Thresholds().max_response_ms)


def metrics_publisher(
    runtime: Runtime, stores: Stores, metrics: AttemptMetrics
) -> MetricsPublisher:
    """Build what publishes and stores these counts."""
    return MetricsPublisher(
        metrics,
        runtime.publisher,
        sink=stores.slots,
        cohorts=stores.cohorts,
        failures=stores.failures,
        background=runtime.background,
        clock=runtime.clock,
        replica=runtime.replica,
    )


def send_handler(
    runtime: Runtime,
    accounts: Accounts,
    stores: Stores,
    *,
    follower: SnapshotFollower,
    metrics: AttemptMetrics,
    announcer: Announcer,
    pending: PendingIntents,
) -> SendHandler:
    """Build the handler of `SendSms`: decode, choose a provider, try it, announce the result."""

    def own_numbers() -> tuple[str, ...]:
        state = follower.current
        return state.flags.migration.validation.numbers if state else ()

    chooser = _chooser(runtime, accounts, stores, follower, metrics)
    settler = Settler(
        decoder=replace(command_decoder(runtime.cfg), own_numbers=own_numbers),
        messages=stores.records,
        announcer=announcer,
        publisher=runtime.publisher,
        clock=runtime.clock,
    )
    return SendHandler(
        messages=stores.records,
        hybrid=_hybrid(
            runtime, accounts, stores, metrics=metrics, chooser=chooser, pending=pending
        ),
        settler=settler,
        lanes=runtime.lanes,
        clock=runtime.clock,
    )


def _chooser(
    runtime: Runtime,
    accounts: Accounts,
    stores: Stores,
    follower: SnapshotFollower,
    metrics: AttemptMetrics,
) -> Chooser:
    return Chooser(
        guards=accounts.guards,
        snapshots=follower,
        suppressions=stores.suppressions,
        meter=metrics,
        clock=runtime.clock,
        draining=lambda: runtime.lanes.draining,
        senders=Senders(
            {account.id: account.sender_id for account in accounts.settings.values()},
            sender_names(runtime.cfg.default_region),
        ),
    )


def _hybrid(
    runtime: Runtime,
    accounts: Accounts,
    stores: Stores,
    *,
    metrics: AttemptMetrics,
    chooser: Chooser,
    pending: PendingIntents,
) -> Hybrid:
    cfg, clock = runtime.cfg, runtime.clock
    return Hybrid(
        messages=stores.records,
        chooser=chooser,
        calls=ProviderCalls(
            chooser=chooser,
            meter=metrics,
            clock=clock,
            tariff=_tariff(cfg),
        ),
        ends=RoundEnds(
            messages=stores.records,
            guards=accounts.guards,
            clock=clock,
            budget={Lane.TRANSACTIONAL: cfg.rounds_transactional, Lane.BULK: cfg.rounds_bulk},
        ),
        guards=accounts.guards,
        suppressions=stores.suppressions,
        clock=clock,
        deadline_s={
            role: account.deadline_s + account.connect_timeout_s
            for role, account in accounts.settings.items()
        },
        pending_intents=pending,
    )


def _tariff(cfg: Settings) -> tariff.Tariff:
    if cfg.tariffs_file is None:
        return tariff.Tariff({})
    return tariff.parse(yaml_files.read(cfg.tariffs_file.read_text(encoding="utf-8")))
