"""How each process of the local stack is started: command, environment, address, readiness.

Rules: children run `python -m worker <command>`, the very commands a deployment runs; what they
must know reaches them through the environment (see `worker.settings`), each getting no more than it
needs: only workers see the database, each part has its own broker user.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from worker.local.addresses import without_addresses
from worker.local.process import Child, answers, free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_ROOT: Final = Path(__file__).parents[2]
_TARGET: Final = "africastalking"
_LEGACY: Final = "legacy"

_PROBES: Final = {_TARGET: "/journal?limit=0", _LEGACY: "/journal?limit=0", "webhook": "/live"}
"""Path that answers 200 when the part is ready; workers have `/ready`."""


def replica_name(number: int) -> str:
    """Name of a worker, counted from 1."""
    return f"replica-{number}"


class Parts:
    """Builds the children of one stack; chooses their ports and secrets.

    Args:
        directory: of the stack.
        profile: further environment of the workers.
    """

    def __init__(self, directory: Path, profile: Mapping[str, str]) -> None:
        self._directory = directory
        self._profile = dict(profile)
        names = (_TARGET, _LEGACY, "webhook")
        self.addresses = {name: f"http://127.0.0.1:{free_port()}" for name in names}
        """Base address by part."""
        self.secrets = {
            "hash_key": secrets.token_urlsafe(32),
            "target_secret": secrets.token_urlsafe(16),
            "legacy_secret": secrets.token_urlsafe(16),
            "target_report_token": secrets.token_urlsafe(16),
            "legacy_report_token": secrets.token_urlsafe(16),
        }
        """Generated for this run."""

    def journal(self, provider: str) -> Path:
        """File in which the simulator of `provider` notes every request it took."""
        return self._directory / "journals" / f"{provider}.jsonl"

    def probe(self, name: str) -> Callable[[], Awaitable[bool]]:
        """Readiness of the part called `name`."""
        return partial(answers, self.addresses[name] + _PROBES.get(name, "/ready"))

    def simulators(self) -> tuple[Child, Child]:
        """Both providers. The legacy gateway is told where to report with each message."""
        return self._simulator(_TARGET, "--report-url", self.report_url()), self._simulator(_LEGACY)

    def report_url(self) -> str:
        """Where the target's account sends its delivery reports."""
        token = self.secrets["target_report_token"]
        return f"{self.addresses['webhook']}/reports/{_TARGET}/{token}"

    def webhook(self, amqp_url: str) -> Child:
        """The receiver of delivery reports."""
        tokens = {
            _TARGET: self.secrets["target_report_token"],
            _LEGACY: self.secrets["legacy_report_token"],
        }
        environment = {
            "AMQP_URL": amqp_url,
            "SMS_WEBHOOK_HOST": "127.0.0.1",
            "SMS_WEBHOOK_PORT": self._port("webhook"),
            "SMS_WEBHOOK_TOKENS": json.dumps(tokens),
        }
        return self._child("webhook", ["webhook"], environment)

    def replica(self, number: int, amqp_url: str, mongo_url: str) -> Child:
        """A worker; each has its own port for `/live` and `/ready`."""
        name = replica_name(number)
        self.addresses[name] = f"http://127.0.0.1:{free_port()}"
        environment = {
            **self.worker_environment(amqp_url, mongo_url),
            "SMS_PRIVATE_HOST": "127.0.0.1",
            "SMS_PRIVATE_PORT": self._port(name),
        }
        return self._child(name, ["run"], environment)

    def worker_environment(self, amqp_url: str, mongo_url: str) -> dict[str, str]:
        """Settings every worker of this stack shares."""
        return {
            "AMQP_URL": amqp_url,
            "MONGO_URL": mongo_url,
            "SMS_HASH_KEY": self.secrets["hash_key"],
            "SMS_FLAGS_FILE": str(_ROOT / "deploy" / "flags.json"),
            "SMS_TARGET__ID": _TARGET,
            "SMS_TARGET__KIND": "africastalking",
            "SMS_TARGET__BASE_URL": self.addresses[_TARGET],
            "SMS_TARGET__USERNAME": "sandbox",
            "SMS_TARGET__SECRET": self.secrets["target_secret"],
            "SMS_TARGET__REPORT_TOKEN": self.secrets["target_report_token"],
            "SMS_LEGACY__ID": _LEGACY,
            "SMS_LEGACY__KIND": "http",
            "SMS_LEGACY__PRESET": "kannel",
            "SMS_LEGACY__BASE_URL": self.addresses[_LEGACY],
            "SMS_LEGACY__USERNAME": "sms",
            "SMS_LEGACY__SECRET": self.secrets["legacy_secret"],
            "SMS_LEGACY__REPORT_BASE_URL": self.addresses["webhook"],
            "SMS_LEGACY__REPORT_TOKEN": self.secrets["legacy_report_token"],
            **self._profile,
        }

    def _simulator(self, provider: str, *options: str) -> Child:
        journal = self.journal(provider)
        journal.parent.mkdir(parents=True, exist_ok=True)
        listen = ["--host", "127.0.0.1", "--port", self._port(provider)]
        command = ["simulate", provider, *listen, "--journal", str(journal), *options]
        return self._child(provider, command, {})

    def _child(self, name: str, command: list[str], environment: Mapping[str, str]) -> Child:
        return Child(
            name,
            [sys.executable, "-m", "worker", *command],
            environment={
                **without_addresses(os.environ),
                "PYTHONUNBUFFERED": "1",
                **environment,
            },
            log=self._directory / "logs" / f"{name}.log",
            directory=_ROOT,
        )

    def _port(self, name: str) -> str:
        return self.addresses[name].rpartition(":")[2]
