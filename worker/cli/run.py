"""`sms-worker run`, `webhook`, `check-config`: the deployed processes and their check.

Rules: configuration is validated whole before anything starts; every problem is printed with the
name of its variable, never with a secret's value.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import structlog
import typer
import yaml
from pydantic import ValidationError

from worker import app as composition
from worker.domain import flags, tariff
from worker.domain.recipients import is_mail
from worker.providers import registry
from worker.settings import Settings, WebhookSettings
from worker.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Coroutine

_JSON = frozenset({"dict_type", "frozen_set_type", "model_type"})
"""Errors of values that must be JSON in the environment."""


def run() -> None:
    """Run one worker until SIGTERM."""
    cfg = _settings()
    logs.configure(cfg.log_level, f"{os.getpid()}")
    _run(composition.run(cfg))


def webhook() -> None:
    """Run the delivery-report webhook until SIGTERM."""
    try:
        cfg = WebhookSettings()
    except ValidationError as error:
        raise _refused(_named(error)) from None
    logs.configure(cfg.log_level, f"webhook-{os.getpid()}")
    _run(composition.run_webhook(cfg))


def _run(process: Coroutine[Any, Any, None]) -> None:
    """Run to the end; what ends it otherwise is logged by the rules of the log, not printed."""
    try:
        asyncio.run(process)
    except Exception:  # noqa: BLE001 - whatever it is, the process ends here
        structlog.get_logger(__name__).exception("the process died")
        raise typer.Exit(1) from None


def check_config() -> None:
    """Validate the configuration that `run` would use, and start nothing."""
    cfg = _settings()
    problems: list[str] = []
    try:
        document = json.loads(cfg.flags_file.read_text(encoding="utf-8"))
        read, _ = flags.parse(document, cfg.target.id, cfg.legacy.id)
        problems += _unreachable(cfg, read.migration.notify)
    except flags.FlagsError as error:
        problems += [f"{cfg.flags_file}: {problem}" for problem in error.problems]
    except (OSError, ValueError) as error:
        problems.append(f"SMS_FLAGS_FILE: {error}")
    for name, account in (("SMS_TARGET", cfg.target), ("SMS_LEGACY", cfg.legacy)):
        try:
            registry.build(account)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if cfg.tariffs_file is not None:
        try:
            tariff.parse(yaml.safe_load(cfg.tariffs_file.read_text(encoding="utf-8")))
        except tariff.TariffError as error:
            problems += [f"{cfg.tariffs_file}: {problem}" for problem in error.problems]
        except (OSError, yaml.YAMLError) as error:
            problems.append(f"SMS_TARIFFS_FILE: {' '.join(str(error).split())}")
    if problems:
        raise _refused(problems)
    typer.echo("configuration is valid")


def _unreachable(cfg: Settings, recipients: tuple[str, ...]) -> list[str]:
    """Recipients these settings cannot reach; `run` says it by an alert."""
    if cfg.smtp is not None or not any(map(is_mail, recipients)):
        return []
    return [f"SMS_SMTP__HOST: expected a mail server, {cfg.flags_file} names mail addresses"]


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        raise _refused(_named(error)) from None


def _named(error: ValidationError) -> list[str]:
    """Problems by the name of their variable."""
    found = []
    for problem in error.errors(include_input=False, include_url=False):
        path = "__".join(str(part) for part in problem["loc"])
        name = path if path in ("AMQP_URL", "MONGO_URL") else f"SMS_{path}".rstrip("_").upper()
        if problem["type"] == "value_error":
            texts = problem["msg"].removeprefix("Value error, ").split("; ")
            found += [_across(name, text) for text in texts]
        else:
            json_hint = " (as JSON)" if problem["type"] in _JSON else ""
            found.append(f"{name}: {problem['msg']}{json_hint}")
    return found


def _across(name: str, text: str) -> str:
    """A problem of several fields names the first of them itself."""
    field, colon, rest = text.partition(":")
    if colon and field.isidentifier():
        return f"{name}{'_' if name == 'SMS' else '__'}{field.upper()}:{rest}"
    return f"{name}: {text}"


def _refused(problems: list[str]) -> typer.Exit:
    typer.echo("configuration refused:", err=True)
    for problem in problems:
        typer.echo(f"  {problem}", err=True)
    return typer.Exit(2)
