"""The settings of every simulated process: as in production, but with shorter times."""

from __future__ import annotations

from functools import cache
from typing import Final

from pydantic import SecretStr

from tests.torture.simulation.periods import STALE_S
from worker.settings.model import Settings
from worker.settings.providers import ProviderKind, ProviderSettings

DEADLINE_S: Final = 3.0
"""Longest time of a provider for an answer."""
LIVES_S: Final = {"transactional": 30.0, "bulk": 60.0}
"""Life of a message that names none, by lane."""


@cache
def settings() -> Settings:
    """The settings of every process: as in production, but with shorter times."""
    account = {
        "kind": ProviderKind.HTTP,
        "preset": "json-basic",
        "base_url": "http://127.0.0.1:9",
        "deadline_s": DEADLINE_S,
        "connect_timeout_s": 1.0,
    }
    return Settings(
        AMQP_URL=SecretStr("amqp://worker:secret@broker/"),
        MONGO_URL=SecretStr("mongodb://database/"),
        hash_key=SecretStr("a key for tests"),
        target=ProviderSettings(id="africastalking", **account),
        legacy=ProviderSettings(id="legacy", **account),
        life_transactional_s=LIVES_S["transactional"],
        life_bulk_s=LIVES_S["bulk"],
        rounds_bulk=6,
        lease_margin_s=5.0,
        snapshot_max_age_s=STALE_S,
        drain_grace_s=6.0,
        store_timeout_s=2.0,
        delivery_age_s=30.0,
        report_deadline_s=600.0,
    )
