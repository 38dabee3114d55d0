"""Builds each process of the local stack: command, environment, address, readiness.

Rules: children run `python -m worker <command>`, as in a deployment. They get their settings from
the environment (see `worker.settings`), and no more than they need: only workers know the database,
and each part has its own broker user.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from worker.lab.local.addresses import without_addresses
from worker.lab.local.port import HOST, Port
from worker.lab.local.process import Child, answers
from worker.settings.addresses import without_login

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

ROOT: Final = Path(__file__).parents[3]
"""Folder of this program's source."""
_TARGET: Final = "africastalking"
_LEGACY: Final = "legacy"

PRIVATE_WEBHOOK: Final = "webhook-private"
"""Name of the webhook's second address, for `/ready` and `/metrics`."""
PRIVATE_CONSOLE: Final = "console-private"
"""Name of the console's second address, for `/ready`."""
_PRIVATE: Final = {"webhook": PRIVATE_WEBHOOK, "console": PRIVATE_CONSOLE}
_USERNAMES: Final = {_TARGET: "sandbox", _LEGACY: "sms"}
"""Account name at each provider."""


def control_name(provider: str) -> str:
    """Name of a simulator's second address, for its control endpoints in a fault."""
    return f"{provider}-control"


def replica_name(number: int) -> str:
    """Name of a worker, counted from 1."""
    return f"replica-{number}"


def _of_telemetry(variable: str) -> bool:
    return variable.startswith("OTEL_") or variable == "SMS_TRACE_RATIO"


class Parts:
    """Builds the children of one stack, and chooses their ports and secrets.

    Args:
        directory: directory of the stack.
        profile: further environment of the workers; the webhook gets what is about telemetry.
    """

    def __init__(self, directory: Path, profile: Mapping[str, str]) -> None:
        self._directory = directory
        self._profile = dict(profile)
        names = (*_PRIVATE, *_PRIVATE.values(), *_USERNAMES, *map(control_name, _USERNAMES))
        self._ports = {name: Port() for name in names}
        self.secrets = {
            "hash_key": secrets.token_urlsafe(32),
            **{f"{provider}_secret": secrets.token_urlsafe(16) for provider in _USERNAMES},
            **{f"{provider}_report_token": secrets.token_urlsafe(16) for provider in _USERNAMES},
        }
        """Secrets that are generated for this run."""

    @property
    def addresses(self) -> dict[str, str]:
        """Base address by part."""
        return {name: f"http://{HOST}:{port}" for name, port in self._ports.items()}

    def journal(self, provider: str) -> Path:
        """File in which the simulator of `provider` notes every request it took."""
        return self._directory / "journals" / f"{provider}.jsonl"

    def probe(self, name: str) -> Callable[[], Awaitable[bool]]:
        """The readiness check of the part called `name`."""
        if name in _USERNAMES:
            return partial(answers, self.addresses[control_name(name)] + "/journal?limit=0")
        address = self.addresses[_PRIVATE.get(name, name)]
        return partial(answers, address + "/ready")

    def simulators(self) -> tuple[Child, Child]:
        """Both providers. The legacy gateway gets the report address with each message."""
        report_url = self.callback_url("reports", _TARGET)
        return self._simulator(_TARGET, "--report-url", report_url), self._simulator(_LEGACY)

    def callback_url(self, kind: str, provider: str) -> str:
        """The address that a provider calls; `kind` is `reports` or `optout`."""
        token = self.secrets[f"{provider}_report_token"]
        return f"{self.addresses['webhook']}/{kind}/{provider}/{token}"

    def webhook(self, amqp_url: str) -> Child:
        """The webhook for delivery reports."""
        tokens = {provider: self.secrets[f"{provider}_report_token"] for provider in _USERNAMES}
        environment = {
            "AMQP_URL": amqp_url,
            "SMS_WEBHOOK_HOST": HOST,
            "SMS_WEBHOOK_PORT": str(self._ports["webhook"]),
            "SMS_WEBHOOK_TOKENS": json.dumps(tokens),
            "SMS_WEBHOOK_PRIVATE_HOST": HOST,
            "SMS_WEBHOOK_PRIVATE_PORT": str(self._ports[PRIVATE_WEBHOOK]),
            **{name: value for name, value in self._profile.items() if _of_telemetry(name)},
        }
        return self._child("webhook", ["webhook"], environment)

    def console(self, amqp_url: str) -> Child:
        """The console, which has no login of its own; of the address only the rest is used."""
        environment = {
            "SMS_CONSOLE_BROKER": without_login(amqp_url),
            "SMS_CONSOLE_HOST": HOST,
            "SMS_CONSOLE_PORT": str(self._ports["console"]),
            "SMS_CONSOLE_TITLE": "local",
            "SMS_CONSOLE_PRIVATE_HOST": HOST,
            "SMS_CONSOLE_PRIVATE_PORT": str(self._ports[PRIVATE_CONSOLE]),
        }
        return self._child("console", ["console"], environment)

    def replica(self, number: int, amqp_url: str, mongo_url: str, source: Path = ROOT) -> Child:
        """A worker with its own port for `/live` and `/ready`, run from the folder `source`."""
        name = replica_name(number)
        self._ports[name] = Port()
        environment = {
            **self.worker_environment(amqp_url, mongo_url, source),
            "SMS_PRIVATE_HOST": HOST,
            "SMS_PRIVATE_PORT": str(self._ports[name]),
            "SMS_REPLICA": name,
        }
        return self._child(name, ["run"], environment, source)

    def worker_environment(
        self, amqp_url: str, mongo_url: str, source: Path = ROOT
    ) -> dict[str, str]:
        """The settings that all workers of this stack share; `source` has their flags file."""
        return {
            "AMQP_URL": amqp_url,
            "MONGO_URL": mongo_url,
            "SMS_HASH_KEY": self.secrets["hash_key"],
            "SMS_FLAGS_FILE": str(source / "deploy" / "flags.json"),
            "SMS_TARGET__ID": _TARGET,
            "SMS_TARGET__KIND": "africastalking",
            "SMS_TARGET__BASE_URL": self.addresses[_TARGET],
            "SMS_TARGET__USERNAME": _USERNAMES[_TARGET],
            "SMS_TARGET__SECRET": self.secrets[f"{_TARGET}_secret"],
            "SMS_TARGET__REPORT_TOKEN": self.secrets[f"{_TARGET}_report_token"],
            "SMS_LEGACY__ID": _LEGACY,
            "SMS_LEGACY__KIND": "http",
            "SMS_LEGACY__PRESET": "json-basic",
            "SMS_LEGACY__BASE_URL": self.addresses[_LEGACY],
            "SMS_LEGACY__USERNAME": _USERNAMES[_LEGACY],
            "SMS_LEGACY__SECRET": self.secrets[f"{_LEGACY}_secret"],
            "SMS_LEGACY__REPORT_BASE_URL": self.addresses["webhook"],
            "SMS_LEGACY__REPORT_TOKEN": self.secrets[f"{_LEGACY}_report_token"],
            **self._profile,
        }

    def _simulator(self, provider: str, *options: str) -> Child:
        journal = self.journal(provider)
        journal.parent.mkdir(parents=True, exist_ok=True)
        command = (
            *("simulate", provider, "--host", "127.0.0.1", "--port", str(self._ports[provider])),
            *(
                "--control-port",
                str(self._ports[control_name(provider)]),
                "--journal",
                str(journal),
            ),
            *("--username", _USERNAMES[provider]),
            *("--optout-url", self.callback_url("optout", provider)),
            *options,
        )
        return self._child(
            provider, command, {"SIMULATE_SECRET": self.secrets[f"{provider}_secret"]}
        )

    def _child(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        source: Path = ROOT,
    ) -> Child:
        return Child(
            name,
            [sys.executable, "-m", "worker", *command],
            environment={
                **without_addresses(os.environ),
                "PYTHONUNBUFFERED": "1",
                **environment,
            },
            log=self._directory / "logs" / f"{name}.log",
            directory=source,  # `-m` looks there first
        )
